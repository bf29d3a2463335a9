"""--lora, <lora:...> and --embedding on the command line, and redo of what they made."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

LAYER = "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"
QUICK = ("--steps", "2", "--sampler", "ddim", "--seed", "1")


@pytest.fixture
def lora(home, model):
    """A LoRA for the model, in ./loras."""
    config = json.loads((model / "unet" / "config.json").read_text())
    block = next(i for i, kind in enumerate(config["down_block_types"]) if "CrossAttn" in kind)
    width, text = config["block_out_channels"][block], config["cross_attention_dim"]
    random = torch.Generator().manual_seed(0)
    key = f"unet.{LAYER.replace('down_blocks.1', f'down_blocks.{block}')}"
    (home / "loras").mkdir()
    save_file(
        {
            f"{key}.lora_A.weight": torch.randn(2, text, generator=random),
            f"{key}.lora_B.weight": torch.randn(width, 2, generator=random),
        },
        home / "loras" / "me.safetensors",
    )
    return home / "loras" / "me.safetensors"


def test_a_lora_is_added_as_a_process_runs_and_redo_finds_it(process, model, home, lora):
    done = process(
        "generate", "a boat", "--model", model, *QUICK, "--lora", f"{lora}:0.8,up=0.5", "-o", "a.png", "--json"
    )
    assert done.status == 0, done.err
    recipe = json.loads(done.out)["pictures"][0]["recipe"]
    (adapter,) = recipe["adapters"]
    assert (adapter["kind"], adapter["weight"], adapter["blocks"]) == ("lora", 0.8, {"up": 0.5})
    assert adapter["file"]["name"] == "me.safetensors"
    assert str(home) not in json.dumps(adapter)
    again = process("redo", "a.png")
    assert again.status == 0, again.err
    assert "identical" in again.err


def test_it_is_written_in_another_format_and_paints_the_same(cli, model, lora):
    from sfumato.picture import open_picture, pixels_hash

    done = cli("convert", lora, "kohya.safetensors", "--to", "kohya", "--model", model)
    assert (done.status, done.out) == (0, "kohya.safetensors\n")
    back = cli("convert", "kohya.safetensors", "back.safetensors", "--to", "diffusers", "--model", model, "--json")
    assert json.loads(back.out) == {"path": "back.safetensors"}
    found = []
    for i, file in enumerate((lora, "kohya.safetensors", "back.safetensors")):
        cli("generate", "a boat", "--model", model, *QUICK, "--lora", file, "-o", f"{i}.png")
        found.append(pixels_hash(open_picture(f"{i}.png")))
    assert len(set(found)) == 1
    assert {key.partition("_down_")[0] for key in load_file("kohya.safetensors")} == {"lora_unet"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["me", "out.safetensors"], "is an adapter and no model: add it to one with --lora, or write it in another"),
        (
            ["me", "out.safetensors", "--to", "koya"],
            "'koya' is unknown (did you mean 'kohya'?): accepted are diffusers, ",
        ),
        (["me", "out", "--to", "kohya"], "out is no .safetensors"),
        (["me", "out.safetensors", "--model", "mini"], "say with --to in which format"),
        (["me", "out.safetensors", "--to", "kohya"], "name the model that it was made for with --model"),
        (
            ["me", "out.safetensors", "--to", "kohya", "--model", "mini"],
            "told texts 64 wide, and this model is a network that is told texts 192",
        ),
        (
            ["word", "out.safetensors", "--to", "kohya"],
            "an adapter of the kind embedding, of which there is one format",
        ),
        (["mini", "out.safetensors", "--to", "kohya"], "There is no file mini"),
    ],
)
def test_what_can_not_be_converted_is_said_in_a_sentence(cli, lora, home, arguments, words):
    save_file({"<boat>": torch.zeros(1, 64)}, home / "word.safetensors")
    files = {"me": lora, "word": home / "word.safetensors"}
    done = cli("convert", *(files.get(each, each) for each in arguments))
    assert done.status == 2
    assert words in done.err
    assert len(done.err.splitlines()) == 1
    assert not (home / "out.safetensors").exists()


def test_the_ways_to_say_it_make_the_same_picture(cli, model, lora):
    from sfumato.picture import open_picture, pixels_hash

    ways = (
        ["a boat", "--lora", "me:0.8"],
        ["a boat <lora:me:0.8>"],
        ["a boat", "--lora", f"{lora}:weight=0.8"],
        ["a boat"],
    )
    found = []
    for i, way in enumerate(ways):
        done = cli("generate", *way, "--model", model, *QUICK, "-o", f"{i}.png")
        assert done.status == 0, done.err
        found.append(pixels_hash(open_picture(f"{i}.png")))
    assert found[0] == found[1] == found[2] != found[3]


def test_redo_says_what_is_not_there_or_other(cli, model, lora):
    assert cli("generate", "a boat", "--model", model, *QUICK, "--lora", lora, "-o", "a.png").status == 0
    moved = lora.rename(lora.with_name("elsewhere.safetensors"))
    from sfumato.adapt import file, read

    file._places.clear()  # as another process begins
    read.contents.cache_clear()
    gone = cli("redo", "a.png")
    assert (gone.status, gone.out) == (2, "")
    assert "me.safetensors" in gone.err
    assert "not on this machine: say where it is with --lora" in gone.err
    assert "identical" in cli("redo", "a.png", "--lora", moved).err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--lora", "you:0.8"), "There is no 'you' among the loras"),
        (("--lora", "nowhere/you.safetensors"), "There is no file nowhere/you.safetensors"),
        (("--lora", "me:0.8,sideways=1"), "There is no block 'sideways'"),
        (("--lora", "me:12"), "give a number from -10 to 10"),
        (("--lora", "me:0.8,interval=0.8-0.2"), "two times (low, high)"),
        (("--embedding", "nothing"), "There is no 'nothing' among the embeddings"),
    ],
)
def test_what_can_not_be_is_one_sentence(cli, model, lora, arguments, said):
    done = cli("generate", "a boat", "--model", model, *QUICK, *arguments, "-o", "a.png")
    assert (done.status, done.out) == (2, "")
    assert said in done.err
    assert done.err.count("\n") == 1


def test_a_learned_word(cli, model, home):
    config = json.loads((model / "text_encoder" / "config.json").read_text())
    save_file({"emb_params": torch.randn(2, config["hidden_size"])}, home / "birb.safetensors")
    done = cli(
        "generate", "a birb", "--model", model, *QUICK, "--embedding", "birb.safetensors", "-o", "a.png", "--json"
    )
    assert done.status == 0, done.err
    (adapter,) = json.loads(done.out)["pictures"][0]["recipe"]["adapters"]
    assert adapter["kind"] == "embedding"
    assert "adapters: embedding (file birb.safetensors" in cli("inspect", "a.png").out
