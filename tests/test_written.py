"""Guidances and samplers as they are written on a command line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import sfumato as spec
from sfumato.control.maps.canny import Canny
from sfumato.element.name_and_options import name_and_options, with_options
from sfumato.guide import Guidance
from sfumato.picture import BadInput
from sfumato.recipe.capabilities import Suits
from sfumato.recipe.written import control as written_control
from sfumato.recipe.written import guidance, guidances, sampler, start, times
from sfumato.sample import DDIM, DDPM, RK45, Churn, DPMpp2M, DPMpp3M, Heun, UniPC
from sfumato.times import KarrasGrid, UniformGrid


@pytest.mark.parametrize(
    ("text", "element"),
    [
        ("cfg:scale=3,interval=0.2-0.8,rescale=0.7", spec.ClassifierFree(3, (0.2, 0.8), 0.7)),
        ("cfg++", spec.CFGPlusPlus()),
        ("CFG++:scale=0.5", spec.CFGPlusPlus(0.5)),
        ("apg:eta=0.5,momentum=-0.5,threshold=5", spec.ProjectedGuidance(eta=0.5, momentum=-0.5, threshold=5)),
        ("pag:scale=3,layers=mid+up_blocks.1", spec.PerturbedAttention(3, ("mid", "up_blocks.1"))),
        ("auto:model=folder/7,scale=2", spec.AutoGuidance("folder/7", 2)),
        ("auto:model=7", spec.AutoGuidance("7")),
        ("classifier:label=3", spec.ClassifierGuidance(label=3)),
        ("classifier: label = ankle boot , scale=2", spec.ClassifierGuidance(2, label="ankle boot")),
        (
            "clip:through=x0,prompt=a red, round hat,cutouts=4",
            spec.ClipGuidance(through="x0", prompt="a red, round hat", cutouts=4),
        ),
        ("static:limit=1.5", spec.StaticThreshold(1.5)),
        ("dynamic:percentile=0.99", spec.DynamicThreshold(0.99)),
        ("perturbed-attention", spec.PerturbedAttention()),
    ],
)
def test_a_guidance_is_a_name_and_its_options(text, element):
    assert guidance(text) == element


@pytest.mark.parametrize(
    ("text", "element"),
    [
        ("ddim", DDIM()),
        ("dpmpp-3m-exact", DPMpp3M(exact=True)),
        ("dpmpp-2m:sde=true", DPMpp2M(sde=True)),
        ("DPMPP-2M-SDE:sde=false", DPMpp2M()),
        ("ddim:eta=1", DDIM(1)),
        ("ddpm:variance=large", DDPM("large")),
        ("heun:form=kappa,churn=30", Heun("kappa", Churn(30))),
        ("unipc:order=3", UniPC(3)),
        ("rk45:rtol=1e-5", RK45(1e-5)),
    ],
)
def test_a_sampler_is_a_name_or_a_name_and_its_options(text, element):
    assert sampler(text) == element


def test_a_start_has_words_and_elements_of_others_among_its_options() -> None:
    text = "hires-fix:scale=1.5,first_prompt=12,first_sampler=ddim:eta=1,first_guidance=cfg:scale=3+rescale=0.5"
    own = {"first_prompt": "12", "first_sampler": DDIM(1), "first_guidance": [spec.ClassifierFree(3, rescale=0.5)]}
    assert start(text) == spec.HiresFix(1.5, **own)
    with pytest.raises(BadInput, match="first_guidance 'magic' is unknown"):
        start("hires-fix:first_guidance=magic")
    told = start('hires-fix:first_prompt="a hat, width=3",first_negative=""')
    assert (told.first_prompt, told.first_negative) == ("a hat, width=3", "")  # type: ignore[attr-defined]


@given(options=st.dictionaries(st.from_regex(r"[a-z]\w{0,8}", fullmatch=True), st.text(max_size=30), max_size=4))
def test_a_name_and_its_options_are_read_as_they_are_written(options: dict[str, str]) -> None:
    assert name_and_options(with_options("name", options)) == ("name", options)


@pytest.mark.parametrize(
    ("text", "value"), [('x:a=5", wide', '5", wide'), ('x:a="open', '"open'), ('x:a="b"c', '"b"c')]
)
def test_a_mark_that_quotes_nothing_is_a_mark(text: str, value: str) -> None:
    assert name_and_options(text) == ("x", {"a": value})


@pytest.mark.parametrize("text", ["x:", "x: ", "x:a", "x:a=", "x:=1", "x:a=,b=1"])
def test_options_without_a_key_or_a_value_are_refused(text: str) -> None:
    with pytest.raises(BadInput, match="is not NAME:key=value"):
        name_and_options(text)


def test_a_map_s_options_stand_behind_its_name(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (8, 8)).save("a.png")
    said = written_control("canny:low=50,picture=a.png,weight=0.5,net=folder")
    assert (said.map, said.weight, said.net) == (Canny(50), 0.5, "folder")
    assert written_control("depth:picture=a.png,net=folder").net == "folder"
    assert written_control("controlnet:picture=a.png,map=canny:low=50+high=60").map == Canny(50, 60)
    with pytest.raises(BadInput, match="low is 300, above high, 200"):
        written_control("canny:low=300,picture=a.png")


@pytest.mark.parametrize(("text", "element"), [("uniform", UniformGrid()), ("karras:rho=5", KarrasGrid(5))])
def test_a_time_grid_is_a_name_or_a_name_and_its_options(text, element):
    assert times(text) == element


@pytest.mark.parametrize(
    ("written", "scale", "kinds"),
    [
        ([], None, ["classifier-free"]),
        (["pag"], None, ["classifier-free", "perturbed-attention"]),
        (["apg"], None, ["projected"]),
        (["pag", "cfg++"], None, ["perturbed-attention", "cfg++"]),
        (["cfg:scale=2"], None, ["classifier-free"]),
        (["apg"], 3.0, ["classifier-free", "projected"]),
    ],
)
def test_the_default_guidance_stands_unless_another_is_in_its_place(written, scale, kinds):
    assert [part.kind for part in guidances(written, scale, Suits())] == kinds
    assert guidances([], 3.0, Suits()) == (spec.ClassifierFree(3.0),)


def test_every_element_has_a_name_and_every_name_an_element():
    registry = Guidance.registry
    for name in [*registry, *map(registry.short, registry)]:
        assert type(guidance(f"{name}:model=x" if name == "auto" else name)) is registry[name]


@pytest.mark.parametrize(
    ("way", "text", "said"),
    [
        (
            guidance,
            "pga",
            "--guide 'pga' is unknown (did you mean 'pag'?): accepted are auto, cfg++, classifier, cfg",
        ),
        (guidance, "", "--guide '' is unknown"),
        (guidance, "auto", "--guide auto: model is missing: give the name or folder of a worse version"),
        (
            guidance,
            "cfg:scal=3",
            "--guide cfg: 'scal' is unknown (did you mean 'scale'?): accepted are scale, interval, rescale",
        ),
        (guidance, "cfg:kind=clip", "'kind' is unknown"),
        (guidance, "cfg:scale=many", "--guide cfg: scale is 'many': give a number from 0 to 1000"),
        (guidance, "cfg:scale=nan", "scale is nan"),
        (guidance, "cfg:interval=0.8-0.2", "interval is (0.8, 0.2)"),
        (
            guidance,
            "cfg:interval=3",
            "--guide cfg: interval is '3': give two times from 0 (clean) to 1 (noise), as 0.2-0.8",
        ),
        (guidance, "clip:through=both", "through: 'both' is unknown: accepted are noised, x0, network"),
        (guidance, "pag:3", "'pag:3' is not NAME:key=value,key=value"),
        (guidance, "pag:scale=", "is not NAME:key=value"),
        (guidance, "pag:scale=1,scale=2", "gives scale twice"),
        (sampler, "ddmi:eta=1", "--sampler 'ddmi' is unknown (did you mean"),
        (
            sampler,
            "consistency:eta=1",
            "--sampler consistency has no options; those that have are adams-bashforth, ddim, ddpm",
        ),
        (sampler, "dpmpp-2m:eta=1", "--sampler dpmpp-2m: 'eta' is unknown: accepted are sde"),
        (sampler, "dpmpp-2m:sde=1", "sde is '1': give true for the reverse SDE"),
        (sampler, "dpmpp-3m-exact:sde=true", "choose sde or exact"),
        (times, "karas", "--times 'karas' is unknown (did you mean 'karras'?): accepted are"),
        (times, "karras:rho=0", "--times karras: rho is 0.0: give a number above 0"),
        (sampler, "ddim:eat=1", "--sampler ddim: 'eat' is unknown (did you mean 'eta'?): accepted are eta"),
        (sampler, "euler:churn=a", "--sampler euler: amount is 'a': give a number from 0 (off)"),
        (sampler, "unipc:order=2.5", "order is 2.5: give 1, 2 or 3"),
        (sampler, "ddim:", "is not NAME:key=value"),
    ],
)
def test_what_is_wrong_is_one_sentence(way, text, said):
    with pytest.raises(BadInput) as refused:
        way(text)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
