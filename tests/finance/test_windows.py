from fractions import Fraction
from math import exp

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import bdtrc
from scipy.stats import poisson

from contagion.finance.hawkes import depth_cdf
from contagion.finance.windows import (
    contagion_extent,
    contagion_frequency,
    critical_share,
    final_adoption_fraction,
    final_default_fraction,
    gai_kapadia_window,
    least_defaults,
    network_resilience,
    poisson_law,
    reproduction_number,
    vulnerable_degree,
    watts_window,
)
from tests.cases import published

SHARES = st.fractions(Fraction(1, 40), 1, max_denominator=60)
FIFTH = Fraction(1, 5)


def more_than_a_fifth(law: np.ndarray) -> np.ndarray:
    return np.arange(len(law)) // 5 + 1


def iterated(mean: float, needed: np.ndarray, seeded: float, steps: int) -> float:
    """Return q after so many steps of q = seeded + (1 - seeded) * sum of p_j P(Bin(j, q) >= needed_j)."""
    degrees, q = np.arange(len(needed)), seeded
    law = poisson.pmf(degrees, mean)
    for _ in range(steps):
        q = seeded + (1 - seeded) * float(law @ bdtrc(needed - 1, degrees, q))
    return q


# The published cases.


def test_the_published_cascade_window_of_watts() -> None:
    case = published("WT-01")
    window = watts_window(case["inputs"]["phi"])
    assert window is not None
    assert vulnerable_degree(case["inputs"]["phi"], ties_default=True) == case["inputs"]["K"]
    expected = [case["expected"]["z_lower"], case["expected"]["z_upper"]]
    assert window == pytest.approx(expected, rel=case["tolerance"]["rtol"])


@pytest.mark.parametrize(("name", "ties"), [("strict", False), ("tie_defaults", True)])
def test_the_published_contagion_window_of_gai_and_kapadia(name: str, ties: bool) -> None:
    case = published("GK-01")
    capital, interbank = case["inputs"]["capital"], case["inputs"]["interbank"]
    expected, share = case["expected"][name], critical_share(capital, interbank)
    assert vulnerable_degree(share, ties_default=ties) == expected["K"] == case["inputs"][f"K_{name}"]
    window = gai_kapadia_window(capital, interbank, ties_default=ties)
    assert window == pytest.approx((expected["z_lower"], expected["z_upper"]), rel=case["tolerance"]["rtol"])


def test_the_published_final_fractions_of_amini_cont_and_minca() -> None:
    case = published("ACM-01")
    for z, expected in case["expected"].items():
        law = poisson_law(float(z))
        fraction = final_default_fraction(law, more_than_a_fifth(law), case["inputs"]["rho0"])
        assert fraction == pytest.approx(expected, rel=case["tolerance"]["rtol"]), z


def test_the_published_cascade_sizes_of_gleeson() -> None:
    case = published("WT-02")
    for z, expected in case["expected"].items():
        law = poisson_law(float(z))
        needed = least_defaults(range(len(law)), case["inputs"]["phi"], ties_default=True)
        fraction = final_adoption_fraction(law, needed, case["inputs"]["rho0"])
        assert fraction == pytest.approx(expected, rel=case["tolerance"]["rtol"]), z


def test_the_published_theory_of_extent_and_frequency() -> None:
    expected = published("GK-02")["expected"]
    for z, extent in expected["extent_theory"].items():
        law = poisson_law(float(z))
        assert contagion_extent(law, more_than_a_fifth(law)) == pytest.approx(extent, rel=1e-8), z
    for z, frequency in expected["frequency_theory_branching"].items():
        assert contagion_frequency(reproduction_number(float(z), 3)) == pytest.approx(frequency, rel=1e-9), z


# Ties.


def test_a_bank_whose_capital_is_used_up_to_zero_survives() -> None:
    """Five debtors of 20% of the assets together, capital of 4%: one default costs just the capital."""
    for share in (critical_share(0.04, 0.2), critical_share(Fraction(4, 100), Fraction(2, 10)), 0.2, FIFTH):
        assert least_defaults(5, share, ties_default=False) == 2
        assert least_defaults(5, share, ties_default=True) == 1


@given(SHARES, st.lists(st.integers(0, 200), min_size=1, max_size=5), st.booleans())
def test_needed_defaults_are_the_fewest_that_exceed_or_reach_the_share(
    share: Fraction, degrees: list[int], ties: bool
) -> None:
    for degree, found in zip(degrees, least_defaults(degrees, share, ties_default=ties), strict=True):
        enough = [m for m in range(1, 202) if (m >= share * degree if ties else m > share * degree)]
        assert found == enough[0]


@given(SHARES, st.booleans())
def test_a_vulnerable_node_needs_a_single_default_and_one_with_more_neighbours_needs_two(
    share: Fraction, ties: bool
) -> None:
    most = vulnerable_degree(share, ties_default=ties)
    assert list(least_defaults([most, most + 1], share, ties_default=ties)) == [1, 2]


# Windows.


@given(SHARES)
def test_at_the_edges_a_default_brings_down_one_node_on_average(share: Fraction) -> None:
    """Sums over degrees, as in the papers: j p_j for claims, k (k - 1) p_k / z for undirected links."""
    for window, ties, directed in (
        (watts_window(share), True, False),
        (gai_kapadia_window(share, 1), False, True),
        (gai_kapadia_window(share, 1, ties_default=True), True, True),
    ):
        vulnerable = np.arange(vulnerable_degree(share, ties_default=ties) + 1)

        def reproduction(z: float, degrees: np.ndarray = vulnerable, directed: bool = directed) -> float:
            law = exp(-z) * np.cumprod(np.where(degrees, z / np.maximum(degrees, 1), 1))
            return float(law @ (degrees * (1 if directed else (degrees - 1) / z)))

        if window is None:
            assert max(map(reproduction, np.linspace(0.1, 5, 50))) < 1
            continue
        assert [reproduction(edge) for edge in window] == pytest.approx([1, 1])
        middle = (window.lower + window.upper) / 2
        assert reproduction(0.99 * window.lower) < 1 < reproduction(middle)
        assert reproduction(1.01 * window.upper) < 1


def test_few_vulnerable_degrees_leave_no_window() -> None:
    assert watts_window(Fraction(1, 3)) is watts_window(1) is None
    assert gai_kapadia_window(0.1, 0.2) is gai_kapadia_window(1, 0.2) is None
    assert gai_kapadia_window(0.1, 0.31) is not None


@given(SHARES, SHARES)
def test_more_capital_narrows_the_window(one: Fraction, other: Fraction) -> None:
    wide, narrow = gai_kapadia_window(min(one, other), 1), gai_kapadia_window(max(one, other), 1)
    if narrow is not None:
        assert wide is not None
        assert wide.lower <= narrow.lower < narrow.upper <= wide.upper


# Frequency and resilience.


@given(st.floats(0, 6))
def test_the_frequency_is_that_of_a_branching_process_that_never_ends(reproduction: float) -> None:
    frequency = contagion_frequency(reproduction)
    assert frequency == pytest.approx(1 - exp(-reproduction * frequency), abs=1e-9)
    if abs(reproduction - 1) > 0.05:
        assert frequency == pytest.approx(1 - depth_cdf(2_000, reproduction), abs=1e-9)


def test_the_resilience_of_a_large_network_is_that_of_its_law() -> None:
    rng, nodes = np.random.default_rng(11), 400_000
    for z in (3.0, 6.0):
        inward = rng.poisson(z, nodes)
        outward = rng.multinomial(inward.sum(), np.full(nodes, 1 / nodes))
        measured = network_resilience(inward, outward, inward * (inward <= 4))
        assert measured == pytest.approx(1 - reproduction_number(z, 3), abs=0.02)


def test_a_link_into_a_bank_that_owes_nobody_is_harmless() -> None:
    """A chain of three: the first link can spread, the last bank has no creditor."""
    assert network_resilience([0, 1, 1], [1, 1, 0], [0, 1, 1]) == 1 - 1 / 2
    assert network_resilience([0, 1, 1], [1, 1, 0], [0, 0, 1]) == 1


# Final fractions.


@given(st.floats(0.1, 9), st.sampled_from([0.001, 0.01, 0.05, 0.3]), st.sampled_from([3, 4, 5, 7]))
def test_the_final_fraction_is_the_smallest_fixed_point(mean: float, seeded: float, divisor: int) -> None:
    """Repeated updates from below never pass it, and end in it unless two fixed points are about to meet."""
    law = poisson_law(mean)
    needed = np.arange(len(law)) // divisor + 1
    fraction = final_default_fraction(law, needed, seeded)
    before, late = iterated(mean, needed, seeded, 400), iterated(mean, needed, seeded, 401)
    assert late <= fraction + 1e-12
    if late - before < 1e-12:
        assert fraction == pytest.approx(late, abs=1e-9)


def test_the_smaller_of_two_fixed_points_is_found_just_before_they_meet_and_vanish() -> None:
    """With 1% of seeds, contagion stops being global at one mean degree; near it, updates take thousands of steps."""

    def fraction(mean: float) -> tuple[float, np.ndarray]:
        law = poisson_law(mean)
        return final_default_fraction(law, more_than_a_fifth(law), 0.01), more_than_a_fifth(law)

    everywhere, nowhere = 6.0, 12.0
    while nowhere - everywhere > 1e-9:
        middle = (everywhere + nowhere) / 2
        everywhere, nowhere = (middle, nowhere) if fraction(middle)[0] > 0.5 else (everywhere, middle)
    for mean, low, high in ((everywhere - 1e-4, 0.99, 1), (nowhere + 1e-4, 0.01, 0.1)):
        found, needed = fraction(mean)
        assert low < found < high
        assert found == pytest.approx(iterated(mean, needed, 0.01, 10_000), abs=1e-6)
        assert iterated(mean, needed, 0.01, 100) < found - 1e-4


@given(st.floats(0.1, 12), st.floats(0, 1), st.floats(0, 1), SHARES, st.booleans())
def test_more_seeds_and_less_capital_never_mean_fewer_defaults(
    mean: float, one: float, other: float, share: Fraction, ties: bool
) -> None:
    law, few, many = poisson_law(mean), min(one, other), max(one, other)
    weak, strong = (least_defaults(range(len(law)), s, ties_default=ties) for s in (share / 2, share))
    for fraction in (final_default_fraction, final_adoption_fraction):
        assert few - 1e-12 <= fraction(law, strong, few) <= fraction(law, strong, many) + 1e-9 <= 1 + 2e-9
        assert fraction(law, strong, few) <= fraction(law, weak, few) + 1e-9


def test_no_seed_no_default() -> None:
    law = poisson_law(3)
    for fraction in (final_default_fraction, final_adoption_fraction):
        assert fraction(law, more_than_a_fifth(law), 0) == 0
        assert fraction(law, more_than_a_fifth(law), 1) == pytest.approx(1)


def test_who_has_no_neighbour_is_not_reached() -> None:
    law = poisson_law(2)
    one_is_enough = np.ones(len(law), int)
    assert final_default_fraction(law, one_is_enough, 0.01) < 1 - 0.99 * law[0]
    assert final_adoption_fraction(law, one_is_enough, 0.01) < 1 - 0.99 * law[0]
    assert final_adoption_fraction(poisson_law(0), np.ones(len(poisson_law(0)), int), 0.2) == 0.2


def test_when_one_neighbour_is_enough_the_reached_are_the_giant_component() -> None:
    """S = 1 - exp(-z S) (Erdos and Renyi), on either kind of network."""
    law = poisson_law(2)
    ones, giant = np.ones(len(law), int), 0.7968121300200199
    assert giant == pytest.approx(1 - exp(-2 * giant))
    assert contagion_extent(law, ones) == pytest.approx(giant)
    assert final_adoption_fraction(law, ones, 1e-9) == pytest.approx(giant, abs=1e-6)


@given(st.floats(0.1, 12))
def test_contagion_has_an_extent_just_inside_the_window(mean: float) -> None:
    window = gai_kapadia_window(0.04, 0.2)
    assert window is not None
    law = poisson_law(mean)
    if abs(reproduction_number(mean, 3) - 1) > 1e-3:
        assert (contagion_extent(law, more_than_a_fifth(law)) > 0) == (window.lower < mean < window.upper)


@given(st.floats(0, 400))
def test_the_law_of_degrees_is_poisson(mean: float) -> None:
    law = poisson_law(mean)
    assert law == pytest.approx(poisson.pmf(np.arange(len(law)), mean), rel=1e-9, abs=1e-15)
    assert law.sum() == pytest.approx(1, rel=1e-12)


def test_what_cannot_be_is_refused() -> None:
    law = poisson_law(3)
    for share in (0, -0.1, float("nan")):
        with pytest.raises(ValueError, match="must be positive"):
            least_defaults([1], share, ties_default=True)
        with pytest.raises(ValueError, match="must be positive"):
            watts_window(share)
    with pytest.raises(ValueError, match=r"capital of 0 and interbank assets of 0\.2"):
        gai_kapadia_window(0, 0.2)
    with pytest.raises(ValueError, match="degree of -1"):
        least_defaults([3, -1], 0.2, ties_default=True)
    with pytest.raises(ValueError, match="mean degree of -1 is negative"):
        poisson_law(-1)
    for fraction in (final_default_fraction, final_adoption_fraction):
        with pytest.raises(ValueError, match=r"share of 1\.5"):
            fraction(law, more_than_a_fifth(law), 1.5)
        with pytest.raises(ValueError, match="expected one per degree"):
            fraction(law, [1, 1], 0.1)
        with pytest.raises(ValueError, match="from 0 up"):
            fraction(law, np.zeros(len(law), int), 0.1)
    with pytest.raises(ValueError, match="2 links into nodes and 1 out"):
        network_resilience([1, 1], [1, 0], [0, 0])
    with pytest.raises(ValueError, match="more contagious in-links"):
        network_resilience([1, 1], [1, 1], [2, 0])
