"""CLIP guidance against finite differences, closed forms and the definition: towers of a few lines, made here."""

import pytest
import torch

from sfumato.condition import Condition
from sfumato.denoise import Gaussian, GaussianMixture, bind
from sfumato.edit import Words, coupled
from sfumato.edit.prompt_to_prompt import injection
from sfumato.guide import ClassifierFree, CleanClip, ClipGradient, Guided, NoisedClip, StaticThreshold
from sfumato.guide.clip_guidance import halton
from sfumato.noise import KeyedNoise
from sfumato.picture import BadInput
from sfumato.sample import Sampler, trajectory
from sfumato.schedule import EDM, Flow, VPLinear
from sfumato.times import grid

SCHEDULE, SHAPE = VPLinear(), (3, 4, 4)
T = torch.tensor(0.4, dtype=torch.float64)
G = torch.randn(3, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
W = torch.randn(5, 48, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def pictures(rows=3):
    return torch.randn(rows, *SHAPE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def tower(x, t=None):
    seen = torch.tanh(x.double().flatten(1)) @ W.T
    return seen if t is None else seen * (2 - t[:, None])


def likeness(seen, text=G):
    return torch.cosine_similarity(seen, text, dim=-1)


def differences(function, x, step=1e-5):
    """The gradient of a function of rows, by central differences."""
    flat = x.flatten(1)
    g = torch.zeros_like(flat)
    for i in range(flat.shape[1]):
        e = torch.zeros_like(flat)
        e[:, i] = step
        g[:, i] = (function((flat + e).reshape(x.shape)) - function((flat - e).reshape(x.shape))) / (2 * step)
    return g.reshape(x.shape)


class Mixture(GaussianMixture):
    """Two Gaussians of pictures; remembers its calls, and whether they recorded a graph."""

    def __init__(self, schedule=SCHEDULE):
        means = torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
        super().__init__(schedule, means, 0.3)
        self.calls = []

    def __call__(self, x, t, condition=None):
        self.calls.append((len(x), x.requires_grad and torch.is_grad_enabled()))
        return super().__call__(x, t, condition)


@pytest.mark.parametrize("network", [Mixture(), Mixture(Flow()), Mixture(EDM())], ids=["vp", "flow", "edm"])
def test_a_noised_clip_moves_eps_by_the_gradient_of_its_likeness_to_the_text(network):
    x = pictures()
    with torch.no_grad():
        guidance = ClipGradient(NoisedClip(tower, network.schedule), G, 0.7, logit_scale=20.0)
        p = Guided(network, [guidance])(x, T, Condition.empty(3))
    plain = network(x, T)
    g = 0.7 * 20 * differences(lambda x: likeness(tower(x, T.expand(3))), x)
    torch.testing.assert_close(p.eps, plain.eps - p.sigma * g, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(p.alpha * p.x0 + p.sigma * p.eps, x)
    torch.testing.assert_close(p.shift, g, rtol=1e-6, atol=1e-6)


def test_a_noised_clip_of_another_schedule_is_shown_its_own_scale_and_time():
    network, seen = Mixture(EDM()), []

    def watching(x, t):
        seen.append((x.detach(), t))
        return tower(x, t)

    x = pictures() * 5
    Guided(network, [ClipGradient(NoisedClip(watching, SCHEDULE), G)])(x, T, Condition.empty(3))
    ((shown, t),) = seen
    alpha, sigma = SCHEDULE(t)
    own = network.schedule(T)
    torch.testing.assert_close(sigma / alpha, (own[1] / own[0]).expand(3))
    torch.testing.assert_close(shown, x / torch.hypot(*own))


def test_through_the_network_the_gradient_is_that_of_the_whole():
    network, x = Mixture(), pictures()
    eye = CleanClip(tower, lambda x0: 0.5 * x0, size=4)
    with torch.no_grad():
        p = Guided(network, [ClipGradient(eye, G, logit_scale=10.0)])(x, T, Condition.empty(3))
        assert not torch.is_grad_enabled()
    assert network.calls == [(3, True)]
    g = 10 * differences(lambda x: likeness(tower(0.5 * network(x, T).x0)), x)
    torch.testing.assert_close(p.shift, g, rtol=1e-6, atol=1e-6)
    assert not p.x0.requires_grad


@pytest.mark.parametrize("schedule", [VPLinear(), Flow(), EDM()], ids=lambda s: type(s).__name__)
def test_stopped_at_x0_it_is_exact_for_data_of_unit_variance(schedule):
    network, x = Gaussian(schedule, torch.ones(SHAPE), 1.0), pictures()
    ends = []
    for mode in ("network", "x0"):
        guidance = ClipGradient(CleanClip(tower, lambda x0: x0, 4, mode), G, 2.0)
        ends.append(Guided(network, [guidance])(x, T, Condition.empty(3)))
    torch.testing.assert_close(ends[0].x0, ends[1].x0)
    assert not torch.allclose(ends[0].x0, network(x, T).x0)


def test_stopped_at_x0_it_never_differentiates_the_network():
    network = Mixture()
    eye = CleanClip(tower, lambda x0: x0, 4, "x0")
    p = Guided(network, [ClipGradient(eye, G)])(pictures(), T, Condition.empty(3))
    assert network.calls == [(3, False)]
    x0, slope = network(pictures(), T).x0, p.alpha / (p.alpha**2 + p.sigma**2)
    g = slope * 100 * differences(lambda x: likeness(tower(x)), x0)
    torch.testing.assert_close(p.shift, g, rtol=1e-6, atol=1e-6)


def test_it_sees_what_the_guidances_before_it_left_in_the_same_call():
    """CFG, then CLIP on the guided x0: one call on both branches, and the graph runs through the extrapolation."""
    from sfumato.condition import Label

    class Labelled(Mixture):
        def __init__(self):
            super().__init__()
            self.labels = torch.tensor([0, 1])

    network, x, condition = Labelled(), pictures(), Condition((Label(torch.tensor([0, 1, 0]), 9),))
    free = ClassifierFree(3.0)
    eye = CleanClip(tower, lambda x0: x0, 4)
    p = Guided(network, [free, ClipGradient(eye, G)])(x, T, condition)
    assert network.calls == [(6, True)]
    g = 100 * differences(lambda x: likeness(tower(Guided(network, [free])(x, T, condition).x0)), x)
    torch.testing.assert_close(p.shift, g, rtol=1e-5, atol=1e-5)
    before = Guided(network, [free])(x, T, condition)
    torch.testing.assert_close(p.eps, before.eps - p.sigma * g, rtol=1e-5, atol=1e-5)


def test_gradients_of_several_kinds_add_up_in_one_call():
    network, x, nothing = Mixture(), pictures(), Condition.empty(3)
    noised = ClipGradient(NoisedClip(tower, SCHEDULE), G, 0.3)
    cheap = ClipGradient(CleanClip(tower, lambda x0: x0, 4, "x0"), G.flip(0), 0.2)
    whole = ClipGradient(CleanClip(tower, lambda x0: x0, 4), G.roll(1, 0), 0.1)
    apart = [Guided(Mixture(), [g])(x, T, nothing).shift for g in (whole, noised)]
    p = Guided(network, [whole, noised])(x, T, nothing)
    assert network.calls == [(3, True)]
    torch.testing.assert_close(p.shift, apart[0] + apart[1])
    # the cheap one looks at the x0 that is already moved; it must not run back into the network either
    moved = Guided(Mixture(), [whole, cheap])(x, T, nothing)
    x0 = Guided(Mixture(), [whole])(x, T, nothing).x0
    slope = moved.alpha / (moved.alpha**2 + moved.sigma**2)
    g = slope * 0.2 * 100 * differences(lambda x: likeness(tower(x), G.flip(0)), x0)
    torch.testing.assert_close(moved.shift, apart[0] + g, rtol=1e-5, atol=1e-5)


def test_the_text_is_that_of_the_rows_picture():
    network, x = Mixture(), pictures()
    guidance = ClipGradient(NoisedClip(tower, SCHEDULE), G)
    together = Guided(network, [guidance])(x, T, Condition.empty(3))
    index = torch.tensor([2, 0])
    some = Guided(network, [guidance])(x[index], T, Condition.empty(3).select(index))
    torch.testing.assert_close(some.x0, together.x0[index])
    one = ClipGradient(NoisedClip(tower, SCHEDULE), G[1:2])
    torch.testing.assert_close(Guided(network, [one])(x, T, Condition.empty(3)).x0[1], together.x0[1])


def test_a_companion_has_the_caption_of_its_own_words():
    """Prompt-to-Prompt: rows N + i are of picture i too, and their captions stand behind those of the pictures."""
    network, x = Mixture(), pictures()[:2]
    guidance = ClipGradient(NoisedClip(tower, SCHEDULE), G[:2])
    words = Words((), (), (), 1)
    paired = coupled(Condition.empty(2), injection([words], [words], 1))
    together = Guided(network, [guidance])(x, T, paired)
    for row in range(2):
        alone = ClipGradient(NoisedClip(tower, SCHEDULE), G[row : row + 1])
        expected = Guided(network, [alone])(x[row : row + 1], T, Condition.empty(1))
        torch.testing.assert_close(together.x0[row], expected.x0[0])


def test_cutouts_are_the_whole_and_windows_of_it():
    """Shown a ramp from left (0) to right (1), each view tells by its values which columns it holds."""
    network, x, seen = Mixture(), pictures(), []
    ramp = torch.linspace(0, 1, 32, dtype=torch.float64).expand(3, 3, 24, 32)

    def watching(view):
        seen.append(view.detach()[0, 0, 0])
        return tower(view[..., :4, :4])

    def decode(x0):
        return ramp + 0 * x0.sum()

    eye = CleanClip(watching, decode, size=8, mode="x0", cutouts=5)
    f = eye(network(x, T), x.requires_grad_(), T)
    assert f.shape == (5, 3, 5)
    assert [len(view) for view in seen] == [8] * 5
    spans = [round(float(31 * 8 / 7 * (view[-1] - view[0]))) for view in seen]  # columns, from the slope inside
    assert spans[0] == pytest.approx(32, abs=2)
    for view, span, (wide, _, across) in zip(seen[1:], spans[1:], halton(4), strict=True):
        side = round(24 * (1 + wide) / 2)
        assert span == pytest.approx(side, abs=2)
        left = round((32 - side) * across)
        assert float(view.mean()) * 31 == pytest.approx(left + (side - 1) / 2, abs=0.2)
    assert halton(4)[:, 0].tolist() == [0.5, 0.25, 0.75, 0.125]


def test_the_likeness_is_the_mean_over_cutouts():
    network, x, nothing = Mixture(), pictures(), Condition.empty(3)
    shifts = []

    def views(x0):
        return torch.nn.functional.interpolate(x0, (12, 12), mode="bilinear")

    for count in (1, 2):
        eye = CleanClip(tower, views, 4, "x0", count)
        shifts.append(Guided(network, [ClipGradient(eye, G)])(x, T, nothing).shift)
    eye = CleanClip(tower, lambda x0: views(x0)[..., 1:10, 1:10], 4, "x0")  # Halton's first window: side 9, at (1, 1)
    window = Guided(network, [ClipGradient(eye, G)])(x, T, nothing).shift
    torch.testing.assert_close(shifts[1], (shifts[0] + window) / 2)


def test_guided_pictures_are_more_like_their_text():
    network, noise = Mixture(), KeyedNoise(range(3))
    x = noise(torch.zeros(3, *SHAPE, dtype=torch.float64), "start")

    def drawn(*guidance):
        denoise = bind(Guided(network, guidance), Condition.empty(3))
        *_, last = trajectory(denoise, Sampler.registry.named("dpmpp-2m"), x, grid("log-snr", 12, SCHEDULE), noise)
        return float(likeness(tower(last.x)).mean())

    alone = drawn()
    for eye in (
        NoisedClip(lambda x, t: tower(x), SCHEDULE),
        CleanClip(tower, lambda x0: x0, 4, "x0"),
        CleanClip(tower, lambda x0: x0, 4, "network"),
    ):
        assert drawn(ClipGradient(eye, G, 0.1)) > alone + 0.1
        assert drawn(StaticThreshold(3.0), ClipGradient(eye, G, 0.1)) > alone + 0.1


def test_off_means_off_and_asks_for_no_graph():
    network, x = Mixture(), pictures()
    eye = CleanClip(tower, lambda x0: x0, 4)
    for off in (ClipGradient(eye, G, 0.0), ClipGradient(eye, G, 1.0, interval=(0.5, 1.0))):
        p = Guided(network, [off])(x, T, Condition.empty(3))
        assert network.calls.pop() == (3, False)
        assert torch.equal(p.eps, network(x, T).eps)
        network.calls.clear()


def test_what_is_wrong_is_said():
    with pytest.raises(BadInput, match="network or x0"):
        CleanClip(tower, lambda x0: x0, 4, "both")  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="one cutout or more"):
        CleanClip(tower, lambda x0: x0, 4, cutouts=0)
    with pytest.raises(BadInput, match="low <= high"):
        ClipGradient(NoisedClip(tower, SCHEDULE), G, interval=(1.0, 0.5))

    class Opaque(Mixture):
        def __call__(self, x, t, condition=None):
            return super().__call__(x.detach(), t, condition)

    with pytest.raises(BadInput, match="no gradient through"):
        Guided(Opaque(), [ClipGradient(CleanClip(tower, lambda x0: x0, 4), G)])(pictures(), T, Condition.empty(3))
