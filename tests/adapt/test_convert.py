"""Adapters through the formats of other tools: the same answers, the same bits; stock diffusers and peft read them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from adapter_files import RANK, make_encoder, make_unet, tensors, written
from safetensors.torch import load_file
from test_stock_lora import FAR, answer, flux, stock, xl_unet

from sfumato.adapt import LoRA, open_file
from sfumato.adapt.adaptation import Adaptation, learning
from sfumato.adapt.adapter import BoundAdapter
from sfumato.adapt.adapter_formats import ADAPTER_FORMATS, converted
from sfumato.adapt.families import FAMILIES
from sfumato.adapt.layers import Change, changes
from sfumato.adapt.names import Piece
from sfumato.adapt.read import Contents, contents, with_config
from sfumato.adapt.write import save, write
from sfumato.network.spec import PAINTERS
from sfumato.picture import BadInput

ATTENTION, CONVOLUTIONS = ("attn1.to_q", "attn1.to_out.0", "attn2.to_k"), ("conv1", "conv_shortcut", "proj_in")
KINDS: dict[str, dict[str, Any]] = {
    "attention": {"layers": ATTENTION},
    "attention and convolutions": {"layers": (*ATTENTION, *CONVOLUTIONS)},
    "DoRA": {"layers": (*ATTENTION, "conv1"), "dora": True},
    "LoHa": {"family": "loha", "layers": (*ATTENTION, "conv1")},
    "LoKr": {"family": "lokr", "layers": (*ATTENTION, "conv1")},
    "alpha is not the rank": {"layers": ATTENTION, "alpha": 1.5},
    "text encoder": {"layers": ATTENTION, "text": ("q_proj", "out_proj", "fc1"), "alpha": 2.0},
    "ranks of their own": {"layers": (*ATTENTION, "conv2"), "text": ("v_proj",), "ranks": (2, 3, 5), "alpha": 4.0},
}
IDS = torch.tensor([[198, 5, 6, 7, 199]])


def made(path: Path, networks: Mapping[str, Any], family: str = "lora", **options: Any) -> Path:
    """An adapter as it is written after training, its tensors drawn."""
    dora, alpha = options.get("dora"), options.get("alpha")
    found, dice = {}, torch.Generator().manual_seed(7)
    for part, ends in (("unet", options["layers"]), ("text_encoder", options.get("text"))):
        for name, module in networks[part].named_modules():
            if not ends or not name.endswith(ends):
                continue
            ranks = options.get("ranks", (3,))
            rank = ranks[len(found) % len(ranks)]
            own = FAMILIES[family].fresh(module.weight, rank, dice)
            own = {key: each + 0.2 * torch.randn(each.shape, generator=dice) for key, each in own.items()}
            if dora:
                lengths = module.weight.flatten(1).norm(dim=1)
                lengths = lengths * (0.7 + 0.6 * torch.rand(len(lengths), generator=dice))
                own["magnitude"] = lengths.reshape(-1, *[1] * (module.weight.ndim - 1))
            found[part, name] = own | ({} if alpha is None else {"alpha": torch.tensor(alpha)})
    write(path, FAMILIES[family], found, networks, {"modelspec.trigger_phrase": "sks boat"})
    return path


def answers(networks: Mapping[str, Any], path: Path | None) -> list[torch.Tensor]:
    """What U-Net and text encoder say with an adapter in."""
    adaptation = Adaptation(networks, [LoRA(path)] if path else [])
    with torch.no_grad(), adaptation.reading, adaptation.painting(0.5):
        return [answer("sd", networks["unet"]), networks["text_encoder"](IDS).last_hidden_state]


def passed(path: Path, networks: Mapping[str, Any], to: str) -> Path:
    """The file, in another format."""
    target = path.with_name(f"{path.stem}-{to}.safetensors")
    found = converted(contents(open_file(path)), networks, to, path.name)
    save(target, found.tensors, found.header)
    return target


@pytest.fixture(scope="module")
def chains(networks, tmp_path_factory) -> dict[str, dict[str, Path]]:
    """Of every kind ours -> diffusers -> kohya -> LyCORIS, by the format; kohya's scripts read no DoRA."""
    found = {}
    for kind, options in KINDS.items():
        path = made(tmp_path_factory.mktemp("chain") / "ours.safetensors", networks, **options)
        found[kind] = {"ours": path}
        for to in ADAPTER_FORMATS:
            if kind == "DoRA" and to == "kohya":
                continue
            found[kind][to] = path = passed(path, networks, to)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_through_every_format_the_answers_stay_and_back_are_the_bits(chains, networks, kind):
    files = chains[kind]
    base, ours = answers(networks, None), answers(networks, files["ours"])
    changed = [bool((a - b).abs().max() > FAR) for a, b in zip(base, ours, strict=True)]
    assert changed == [True, "text" in KINDS[kind]]
    for to in files:
        for mine, theirs in zip(ours, answers(networks, files[to]), strict=True):
            torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-5)
    first, last = (load_file(files[to]) for to in ("ours", "lycoris"))
    if kind != "LoKr":  # of which peft has other shapes
        assert {key for key in last if not key.endswith(".alpha")} == {k for k in first if not k.endswith(".alpha")}
        assert all(torch.equal(first[key], last[key]) for key in first)
    assert contents(open_file(files["lycoris"])).header["modelspec.trigger_phrase"] == "sks boat"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("to", ADAPTER_FORMATS)
def test_in_its_own_format_every_bit_stays(chains, networks, kind, to):
    if to not in chains[kind]:
        with pytest.raises(BadInput, match=r"DoRA.*kohya's scripts would not read: --to lycoris"):
            passed(chains[kind]["ours"], networks, to)
        return
    before = contents(open_file(chains[kind][to]))
    after = converted(before, networks, to, "a")
    assert {k: v for k, v in before.header.items() if k != "format"} == dict(after.header)
    assert before.tensors.keys() == after.tensors.keys()
    for key, each in before.tensors.items():
        assert (each.shape, each.dtype) == (after.tensors[key].shape, after.tensors[key].dtype)
        assert torch.equal(each, after.tensors[key])


@pytest.mark.parametrize("part", PAINTERS)
def test_a_network_by_any_name_that_families_give_it(tmp_path, part):
    """unCLIP's decoder, a prior: what is written of it is read as its own, in every format."""
    networks = {part: make_unet()}
    layers = [name for name, _ in networks[part].named_modules() if name.endswith(ATTENTION)]
    lora, dice = FAMILIES["lora"], torch.Generator().manual_seed(7)
    fresh = {(part, name): lora.fresh(networks[part].get_submodule(name).weight, 2, dice) for name in layers}
    write(tmp_path / "a.safetensors", lora, fresh, networks, {})
    first = contents(open_file(tmp_path / "a.safetensors"))
    for found in (first, *(converted(first, networks, to, "a") for to in ADAPTER_FORMATS)):
        assert {(each.part, each.pieces[0].layer) for each in changes(found, networks, "a")} == fresh.keys()


def peft_answer(path: Path) -> list[torch.Tensor]:
    """The answers of stock networks that stock diffusers, or peft itself, has put the file into."""
    from diffusers import StableDiffusionPipeline
    from peft import LoHaConfig, inject_adapter_in_model, set_peft_model_state_dict

    networks: dict[str, Any] = {"unet": make_unet(), "text_encoder": make_encoder()}
    state, alphas, said = StableDiffusionPipeline.lora_state_dict(path, return_lora_metadata=True)
    if any("hada" in key for key in state):
        config = {key.removeprefix("unet."): value for key, value in said.items()}
        assert config.pop("peft_type") == "LOHA"
        own = {key.removeprefix("unet."): value for key, value in state.items()}
        inject_adapter_in_model(LoHaConfig(**config), networks["unet"])
        assert not set_peft_model_state_dict(networks["unet"], own).unexpected_keys
    else:
        networks["unet"].load_lora_adapter(state, prefix="unet", network_alphas=alphas, metadata=said)
        StableDiffusionPipeline.load_lora_into_text_encoder(
            state, alphas, networks["text_encoder"], prefix="text_encoder", metadata=said
        )
    with torch.no_grad():
        return [answer("sd", networks["unet"]), networks["text_encoder"](IDS).last_hidden_state]


@pytest.mark.parametrize("kind", KINDS)
def test_stock_diffusers_and_peft_read_what_is_written(chains, networks, kind):
    pytest.importorskip("peft")
    for mine, theirs in zip(
        answers(networks, chains[kind]["ours"]), peft_answer(chains[kind]["diffusers"]), strict=True
    ):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


# other architectures


def drawn(network: Any, layers: Sequence[str], stem: str) -> dict[str, torch.Tensor]:
    found = {}
    for i, layer in enumerate(layers):
        down, up = tensors(network.get_submodule(layer).weight.shape, seed=i)
        found |= {f"{stem}.{layer}.lora_A.weight": down, f"{stem}.{layer}.lora_B.weight": up}
    return found


def test_stable_diffusion_xl_has_its_makers_names_and_two_text_encoders(tmp_path):
    networks = {"unet": xl_unet(), "text_encoder": make_encoder(), "text_encoder_2": make_encoder(32)}
    layers = [name for name, _ in networks["unet"].named_modules() if name.endswith(("to_v", "conv1", "linear_2"))]
    found = drawn(networks["unet"], layers, "unet")
    for part in ("text_encoder", "text_encoder_2"):
        found |= drawn(networks[part], ["encoder.layers.0.self_attn.q_proj"], part)
    path = written(tmp_path / "a.safetensors", found)
    kohya = passed(path, networks, "kohya")
    stems = {key.partition(".")[0] for key in load_file(kohya)}
    unets = {stem for stem in stems if stem.startswith("lora_unet_")}
    assert len(unets) == len(layers)
    known = ("input_blocks", "middle_block", "output_blocks", "time_embed", "label_emb")
    assert all(stem.startswith(tuple(f"lora_unet_{block}" for block in known)) for stem in unets)
    assert {f"lora_te{n}_text_model_encoder_layers_0_self_attn_q_proj" for n in (1, 2)} == stems - unets
    back = load_file(passed(kohya, networks, "diffusers"))
    assert {key.replace("text_model.", "") for key in back} == found.keys()
    assert all(torch.equal(each, found[key.replace("text_model.", "")]) for key, each in back.items())
    with Adaptation(networks, [LoRA(path)]).painting(0.5):
        ours = answer("xl", networks["unet"])
    pytest.importorskip("peft")
    torch.testing.assert_close(ours, stock("xl", xl_unet(), kohya), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shared", [False, True])
def test_layers_that_kohyas_files_of_flux_fuse_are_put_together_and_taken_apart(tmp_path, shared):
    """As they come from diffusers, each with an A of its own, and as they come from kohya's training, with one."""
    networks = {"transformer": flux()}
    block = "transformer_blocks.0"
    layers = [f"{block}.attn.{to}" for to in ("to_q", "to_v", "add_q_proj", "to_out.0")]
    layers += [f"single_{block}.{to}" for to in ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp")]
    found = drawn(networks["transformer"], [*layers, "norm_out.linear"], "transformer")
    if shared:
        for layer in layers[4:]:
            found[f"transformer.{layer}.lora_A.weight"] = found[f"transformer.{layers[4]}.lora_A.weight"]
    path = written(tmp_path / "a.safetensors", found)
    kohya = passed(path, networks, "kohya")
    there = load_file(kohya)
    inner, stem = networks["transformer"].inner_dim, "lora_unet_double_blocks_0_img_attn_qkv"
    assert there[f"{stem}.lora_up.weight"].shape == (3 * inner, 2 * RANK)
    assert there[f"{stem}.lora_up.weight"][inner : 2 * inner].abs().max() == 0, "no keys are changed"
    assert len(there["lora_unet_single_blocks_0_linear1.lora_down.weight"]) == (RANK if shared else 4 * RANK)
    assert "lora_unet_final_layer_adaLN_modulation_1.lora_up.weight" in there
    back = passed(kohya, networks, "diffusers")
    assert {key: each.tolist() for key, each in load_file(back).items()} == {k: v.tolist() for k, v in found.items()}
    again = load_file(passed(back, networks, "kohya"))
    weights = {key: each.tolist() for key, each in again.items() if not key.endswith(".alpha")}
    assert weights == {key: each.tolist() for key, each in there.items()}
    base = answer("flux", networks["transformer"])
    answers = []
    for file in (path, kohya):
        with Adaptation(networks, [LoRA(file)]).painting(0.5):
            answers.append(answer("flux", networks["transformer"]))
    assert (answers[0] - base).abs().max() > FAR
    torch.testing.assert_close(*answers, rtol=0, atol=1e-5)


def test_magnitudes_and_alphas_of_fused_layers(networks, tmp_path):
    """q, k and v of ranks, alphas and magnitudes of their own, from LyCORIS' file and back."""
    flown = {"transformer": flux()}
    found = {}
    for i, to in enumerate(("to_q", "to_k", "to_v")):
        layer = f"transformer_blocks.0.attn.{to}"
        weight = flown["transformer"].get_submodule(layer).weight
        down, up = tensors(weight.shape, rank=2 + i, seed=i)
        stem = f"lora_unet_{layer.replace('.', '_')}"
        found |= {f"{stem}.lora_down.weight": down, f"{stem}.lora_up.weight": up}
        found[f"{stem}.alpha"] = torch.tensor(1.0 + i)
        found[f"{stem}.dora_scale"] = weight.norm(dim=1, keepdim=True) * 1.2
    path = written(tmp_path / "a.safetensors", found)
    fused = passed(path, flown, "lycoris")
    assert {key.partition(".")[0] for key in load_file(fused)} == {"lora_unet_double_blocks_0_img_attn_qkv"}
    answers = []
    for file in (path, fused, passed(fused, flown, "diffusers")):
        with Adaptation(flown, [LoRA(file)]).painting(0.5):
            answers.append(answer("flux", flown["transformer"]))
    assert (answers[0] - answer("flux", flown["transformer"])).abs().max() > FAR
    for each in answers[1:]:
        torch.testing.assert_close(answers[0], each, rtol=0, atol=1e-5)
    found.pop("lora_unet_transformer_blocks_0_attn_to_v.dora_scale")
    with pytest.raises(BadInput, match=r"magnitudes \(DoRA\) for some of .* alone, which are one layer there"):
        passed(written(tmp_path / "b.safetensors", found), flown, "lycoris")


@pytest.mark.parametrize("kind", ["DoRA", "LoHa", "LoKr", "alpha is not the rank"])
def test_what_is_trained_on_a_transformer_is_in_its_file(tmp_path, kind):
    networks, dice = {"transformer": flux()}, torch.Generator().manual_seed(2)
    family, layers = FAMILIES[KINDS[kind].get("family", "lora")], {}
    for name in (
        "transformer_blocks.0.attn.to_q",
        "transformer_blocks.0.ff.net.2",
        "single_transformer_blocks.0.proj_mlp",
    ):
        weight = networks["transformer"].get_submodule(name).weight
        own = family.fresh(weight, 3, dice)
        own = {key: each + 0.3 * torch.randn(each.shape, generator=dice) for key, each in own.items()}
        own |= {"magnitude": weight.norm(dim=1, keepdim=True) * 1.3} if kind == "DoRA" else {}
        layers["transformer", name] = own | {"alpha": torch.tensor(1.5)}
    write(tmp_path / "a.safetensors", family, layers, networks, {})
    none = Contents({}, {})
    changed = [Change(part, (Piece(name),), family, each, none) for (part, name), each in layers.items()]
    with learning(networks, BoundAdapter("a", changed)):
        learnt = answer("flux", networks["transformer"])
    with Adaptation(networks, [LoRA(tmp_path / "a.safetensors")]).painting(0.5):
        torch.testing.assert_close(answer("flux", networks["transformer"]), learnt, rtol=0, atol=1e-5)
    assert (answer("flux", networks["transformer"]) - learnt).abs().max() > FAR


# other families


CONV, LINEAR = "down_blocks.1.resnets.0.conv1", "mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
CORES: dict[str, tuple[tuple[str, tuple[int, ...]], ...]] = {
    "lora": (("lora_down.weight", (2, 16, 1, 1)), ("lora_mid.weight", (3, 2, 3, 3)), ("lora_up.weight", (32, 3, 1, 1))),
    "loha": tuple((f"hada_{n}", shape) for k in "12" for n, shape in (
        (f"t{k}", (2, 2, 3, 3)), (f"w{k}_a", (2, 32)), (f"w{k}_b", (2, 16)))),
    "lokr": (("lokr_w1_a", (4, 2)), ("lokr_w1_b", (2, 4)), ("lokr_t2", (2, 2, 3, 3)), ("lokr_w2_a", (2, 8)),
             ("lokr_w2_b", (2, 4))),
}  # fmt: skip


@pytest.mark.parametrize("family", CORES)
def test_cores_are_multiplied_out_where_a_format_has_none(networks, tmp_path, family):
    pytest.importorskip("peft")
    stem, dice = f"lora_unet_{CONV.replace('.', '_')}", torch.Generator().manual_seed(1)
    found = {f"{stem}.{name}": 0.5 * torch.randn(shape, generator=dice) for name, shape in CORES[family]}
    path = written(tmp_path / "a.safetensors", {**found, f"{stem}.alpha": torch.tensor(1.5)})
    same = load_file(passed(path, networks, "lycoris"))
    assert {key: each.tolist() for key, each in same.items()} == {k: v.tolist() for k, v in load_file(path).items()}
    ours, theirs = answers(networks, path)[0], passed(path, networks, "diffusers")
    assert (ours - answers(networks, None)[0]).abs().max() > FAR
    torch.testing.assert_close(answers(networks, theirs)[0], ours, rtol=0, atol=1e-5)
    torch.testing.assert_close(peft_answer(theirs)[0], ours, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("kind", "rank"), [("LoHa", 3), ("LoKr", 2), ("LoKr", 64)])
def test_what_peft_itself_writes_is_read_with_its_alpha(networks, tmp_path, kind, rank):
    """At rank 64 both factors of a LoKr are whole: alpha/r counts in peft alone."""
    peft = pytest.importorskip("peft")
    network = make_unet()
    config = getattr(peft, f"{kind}Config")(r=rank, alpha=7, target_modules=["to_q", "conv1"], init_weights=False)
    torch.manual_seed(3)
    peft.inject_adapter_in_model(config, network)
    state = {f"unet.{key}": 2 * each for key, each in peft.get_peft_model_state_dict(network).items()}
    peft.set_peft_model_state_dict(network, {key.removeprefix("unet."): each for key, each in state.items()})
    said = {f"unet.{key}": value for key, value in {"peft_type": kind.upper(), "r": rank, "alpha": 7}.items()}
    path = written(tmp_path / "a.safetensors", state, {"lora_adapter_metadata": json.dumps(said)})
    theirs = answer("sd", network)
    assert (theirs - answers(networks, None)[0]).abs().max() > FAR
    for file in (path, passed(path, networks, "kohya")):
        torch.testing.assert_close(answers(networks, file)[0], theirs, rtol=1e-4, atol=1e-5)


def test_a_folder_of_pefts_is_written_as_one_file(networks, tmp_path):
    """Its alpha stands beside the weights, where a recipe does not look."""
    peft = pytest.importorskip("peft")
    network = make_unet()
    config = peft.LoraConfig(
        r=3, lora_alpha=7, target_modules=["to_q"], init_lora_weights=False, rank_pattern={"attn2.to_q": 2}
    )
    torch.manual_seed(3)
    wrapped = peft.get_peft_model(network, config)
    theirs = answer("sd", wrapped.base_model.model)
    wrapped.save_pretrained(tmp_path)
    file = open_file(tmp_path / "adapter_model.safetensors")
    with pytest.raises(BadInput, match=r"alpha of adapter_model.safetensors stands in another file.*convert --to"):
        LoRA(file).bind(networks)
    found = converted(with_config(contents(file), file), networks, "diffusers", "a")
    save(tmp_path / "one.safetensors", found.tensors, found.header)
    assert (theirs - answers(networks, None)[0]).abs().max() > FAR
    torch.testing.assert_close(answers(networks, tmp_path / "one.safetensors")[0], theirs, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(peft_answer(tmp_path / "one.safetensors")[0], theirs, rtol=1e-4, atol=1e-5)


def test_every_family_stays_in_lycoris_file(networks, tmp_path):
    """With the endings that LyCORIS gives norms, and in half precision."""
    to = {each: LINEAR.replace("to_q", each) for each in ("to_q", "to_k", "to_v", "to_out.0")}
    shapes = {
        (to["to_q"], "a1.weight"): (32, 2), (to["to_q"], "a2.weight"): (2, 32), (to["to_q"], "b1.weight"): (32, 2),
        (to["to_q"], "b2.weight"): (2, 32), ("conv_norm_out", "w_norm"): (16,), ("conv_norm_out", "b_norm"): (16,),
        (to["to_k"], "oft_blocks"): (4, 8, 8), (to["to_v"], "diff"): (32, 32), (CONV, "diff_b"): (32,),
        (to["to_out.0"], "weight"): (32,), (to["to_out.0"], "on_input"): (),
    }  # fmt: skip
    dice = torch.Generator().manual_seed(0)
    found = {
        f"lora_unet_{layer.replace('.', '_')}.{ending}": 0.1 * torch.randn(shape, generator=dice).half()
        for (layer, ending), shape in shapes.items()
    }
    path = written(tmp_path / "a.safetensors", found)
    there = load_file(passed(path, networks, "lycoris"))
    assert there.keys() == found.keys()
    assert all(torch.equal(there[key], each) and there[key].dtype == each.dtype for key, each in found.items())
    with pytest.raises(BadInput, match=r"the family .*kohya's scripts would not read"):
        passed(path, networks, "kohya")
    with pytest.raises(BadInput, match="which peft has no names for: `sfumato extract`"):
        passed(path, networks, "diffusers")
