"""The claims of paper [A], each with a stated rule that turns measurements into a verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import comb
from statistics import fmean, median

from veilsum.experiments.grid import MINUS, shown
from veilsum.experiments.results import (
    ATTACKS,
    BEFORE_SENDING,
    CHECKED,
    CORRECTED,
    INTERLEAVED,
    MISSING,
    PAPER,
    REFERENCE,
    RIGHT,
    SIGNED,
    UNCHECKED,
    WANDERING,
    Ensemble,
    Results,
    Run,
    escalating,
    first,
    interval,
    matching,
    median_interval,
    ratio_interval,
    survivals,
)
from veilsum.experiments.verdict import (
    CONFIRMED,
    NOT_DECIDED,
    NOT_MEASURED,
    PARTLY,
    REFUTED,
    Verdict,
)

NEGLIGIBLE = 0.01
"""A relative difference of RMSE below this is called none."""
FAR_ABOVE = 10.0
"""A factor of time or size from which one thing is called far above another."""
NOTICEABLE = 1.25
"""A factor of time from which something is called slower."""
SIMILAR = 2.0
"""A factor of time up to which two things are called about the same."""


def verdicts(results: Results) -> tuple[Verdict, ...]:
    """Judge every claim by its rule.

    Parameters
    ----------
    results : Results
        What :func:`veilsum.experiments.compare.run` measured.

    Returns
    -------
    tuple of Verdict
        A1 to A14 in order. A claim whose protocols were not run is ``not measured``.
    """
    return tuple(_judge(claim, results) for claim in _CLAIMS)


class _NotMeasured(Exception):  # noqa: N818 - a verdict, not a fault
    pass


@dataclass(frozen=True, slots=True)
class _Claim:
    name: str
    figure: int | None
    title: str
    paper: str
    rule: str
    judge: Callable[[Results], tuple[str, str]]


def _judge(claim: _Claim, results: Results) -> Verdict:
    try:
        outcome, words = claim.judge(results)
    except _NotMeasured as reason:
        outcome, words = NOT_MEASURED, str(reason)
    return Verdict(
        claim=claim.name,
        figure=claim.figure,
        title=claim.title,
        paper=claim.paper,
        rule=claim.rule,
        outcome=outcome,
        words=words,
    )


def _converges(results: Results) -> tuple[str, str]:
    ours = _run(results.convergence, protocol="paillier", clients=2)
    reference = _run(results.convergence, protocol=REFERENCE, clients=2)
    distance = abs(ours.final / reference.final - 1)
    seeds = _seeds(results, 2)
    change = interval(seeds.slope)
    level = change[1] <= 0 <= change[2]
    words = (
        f"RMSE goes from {shown(ours.rmse[0])} to {shown(ours.final)}, {_percent(distance)} away "
        f"from averaging without rounding. Over the last half of the iterations RMSE changes by "
        f"{_spread(change)} an iteration, in units of the target, mean of "
        f"{len(seeds.slope)} seeds: "
        f"{'no change can be told from 0' if level else 'it can be told from 0'}. That is "
        f"{_percent(change[0] / fmean(seeds.final), signed=True)} of the last RMSE an iteration."
    )
    return _both(distance <= NEGLIGIBLE and ours.final < ours.rmse[0], level), words


def _bumps(results: Results) -> tuple[str, str]:
    many = results.settings.clients
    difference = _paired(_seeds(results, many).roughness, _seeds(results, 2).roughness)
    change = interval(difference)
    ours = _run(results.convergence, protocol="paillier", clients=many)
    plain = _run(results.convergence, protocol="plain", clients=many)
    inside = max(ours.deviation) <= ours.deviation_bound
    same = ours.integers == plain.integers
    outcome = CONFIRMED if change[1] > 0 else REFUTED if change[2] < 0 else PARTLY
    words = (
        f"Roughness with {many} clients less that with 2 is {_spread(change)}: {_sign(change)}. "
        f"Paillier's coefficients are at most {shown(max(ours.deviation))} from the unrounded "
        f"average in any iteration, the bound being {shown(ours.deviation_bound)}, and it opened "
        f"{'exactly' if same else 'not'} plain's integers: "
        f"{'encryption adds no bump' if inside and same else 'encryption has a part'}."
    )
    return outcome, words


def _slower(results: Results) -> tuple[str, str]:
    ours = _run(results.convergence, protocol="paillier", clients=results.settings.clients)
    plain = _run(results.convergence, protocol="plain", clients=results.settings.clients)
    client, server = (
        ratio_interval(ours.series(party), plain.series(party)) for party in ("client", "server")
    )
    words = (
        f"With {results.settings.key_bits}-bit keys a client needs {_spread(client)} times plain's "
        f"seconds ({_ms(ours.seconds('client'))} against {_ms(plain.seconds('client'))}), the "
        f"server {_spread(server)} times ({_ms(ours.seconds('server'))} against "
        f"{_ms(plain.seconds('server'))}). Intervals are over the iterations."
    )
    return _both(_at_least(client, FAR_ABOVE), _at_least(server, FAR_ABOVE)), words


def _encryption_is_not_robust(results: Results) -> tuple[str, str]:
    rises = _rises(results, list(matching(results.attacks, protocol="paillier")))
    ours = _attacked(results, "paillier")
    averaged = {(e.attack, e.malicious): e.final[0] for e in results.attack_seeds}
    same = sum(run.final == averaged[where] for where, run in ours.items())
    words = (
        f"{_rise_words(results, rises)} In {same} of {_count(len(ours), 'attacked run')} Paillier "
        "ends exactly where plain averaging of the same seed does"
        + (": it protects no better and no worse." if same == len(ours) else ".")
    )
    return _all_of([_at_least(rise, NEGLIGIBLE) for rise in rises.values()]), words


def _coarse(results: Results) -> tuple[str, str]:
    reference = _reference(results)
    three = _run(results.precision, digits=3)
    excess = three.final / reference.final - 1
    good = [r.digits for r in results.precision if r.final <= (1 + NEGLIGIBLE) * reference.final]
    enough = f"from {min(good)} digits on" if good else "at none of the digits tried"
    words = (
        f"At 3 digits the last RMSE is {shown(three.final)}, {_percent(excess, signed=True)} "
        f"against {shown(reference.final)} without rounding; {enough} it is within "
        f"{_percent(NEGLIGIBLE)}."
    )
    return (CONFIRMED if excess > NEGLIGIBLE else REFUTED), words


def _precision_is_slow(results: Results) -> tuple[str, str]:
    coarse, fine = _run(results.precision, digits=3), _run(results.precision, digits=9)
    few, many = (first(results.precision_pace, digits=digits) for digits in (3, 9))
    if few is None or many is None:
        raise _NotMeasured("Needs the protocol sharing.")
    ratio = ratio_interval(many.seconds, few.seconds)
    words = (
        f"In {len(few.seconds)} rounds each, timed in turn, the protocol takes "
        f"{_ms(median(few.seconds))} at 3 digits and {_ms(median(many.seconds))} at 9 (medians), "
        f"{_spread(ratio)} times as long. A client sends {coarse.sent:,.0f} bytes an iteration at "
        f"3 digits and {fine.sent:,.0f} at 9, {shown(fine.sent / coarse.sent)} times as many"
        + (
            ", as a coefficient then fills several field elements."
            if fine.sent > coarse.sent
            else ": a field element has the same width at all digits."
        )
    )
    return _one(_at_least(ratio, NOTICEABLE)), words


def _sharing_is_poisoned(results: Results) -> tuple[str, str]:
    runs = list(matching(results.attacks, protocol="sharing"))
    rises = _rises(results, runs)
    poisoned = _any(_at_least(rise, NEGLIGIBLE) for rise in rises.values())
    _faulty(results, UNCHECKED)
    clean, *altered = results.fault_seeds
    changes = {ensemble.faulty: _relative(ensemble.final, clean.final) for ensemble in altered}
    broken = _any(_at_least(rise, NEGLIGIBLE) for rise in changes.values())
    words = (
        f"{_rise_words(results, rises)} Altered shares opened from the first K, over "
        f"{len(clean.final)} seeds: median last RMSE {shown(median(clean.final))} with none, "
        + ", ".join(f"{shown(median(e.final))} with {e.faulty} of {e.shares}" for e in altered)
        + f". {_decoded_words(results)}"
    )
    return _both(poisoned, broken), words


def _decoded_words(results: Results) -> str:
    calm, *altered = _faulty(results, CORRECTED)
    decoded = [run for run in altered if not run.aborted]
    if not decoded:
        return f"Decoding opened none of {_count(len(altered), 'run')}: it takes two spare shares."
    ends = ", ".join(f"{shown(run.final)} with {run.faulty}" for run in decoded)
    return f"Decoded instead, one seed ends at {shown(calm.final)} with none altered and at {ends}."


def _survives(results: Results) -> tuple[str, str]:
    spare = results.settings.clients - results.settings.shares_needed
    calm, *missing = _faulty(results, MISSING)
    enough = [run for run in missing if run.faulty <= spare]
    too_few = [run for run in missing if run.faulty > spare]
    exact = _unchanged(calm, enough)
    altered, checked = _faulty(results, UNCHECKED)[1:], _faulty(results, CHECKED)[1:]
    survived = _unchanged(calm, altered)
    words = (
        f"Missing: with {_up_to(spare)} of {calm.shares} shares gone, {exact} of "
        f"{_count(len(enough), 'run')} opened the same integers as with none gone; with "
        f"{spare + 1} gone, {_refusals(too_few)}. "
        f"Altered, opened from the first K as in the paper: {survived} of "
        f"{_count(len(altered), 'run')} opened the right integers. Altered, all shares checked: "
        f"{_refusals(checked)}. {_repair_words(results, spare)}"
    )
    return _both(exact == len(enough), survived == len(altered)), words


def _repair_words(results: Results, spare: int) -> str:
    found = survivals(results)
    decoded, together, signed = (_borne(found[kind]) for kind in (CORRECTED, INTERLEAVED, SIGNED))
    beyond = [run for run in _faulty(results, CORRECTED)[1:] if run.faulty > spare // 2]
    return (
        f"Most altered shares that were repaired: {decoded} by Reed-Solomon decoding (theory: "
        f"{spare // 2}, whatever the liars do), where with more {_refusals(beyond)}; {together} by "
        f"decoding all elements together (theory: at most {max(spare - 1, 0)}, and for independent "
        "errors only: liars who agree on theirs can force a wrong sum); "
        f"{signed} by signatures (theory: {spare}), which were tried on one client's dealing, for "
        "the holders' sums of shares are signed by nobody."
    )


def _borne(outcomes: Mapping[int, str]) -> int:
    """Return up to how many faulty shares every number of them was borne."""
    broken = (faulty for faulty in sorted(outcomes) if outcomes[faulty] != RIGHT)
    return next(broken, max(outcomes) + 1) - 1


def _faulty(results: Results, fault: str) -> list[Run]:
    runs = escalating(results.faults, fault=fault)
    if len(runs) < 2:
        raise _NotMeasured("Needs the protocol sharing with a threshold below the clients.")
    return runs


def _unchanged(calm: Run, runs: Sequence[Run]) -> int:
    return sum(run.integers == calm.integers for run in runs)


def _refusals(runs: Sequence[Run]) -> str:
    rounds = sum(len(run.rmse) - 1 for run in runs)
    refused = sum(run.aborted for run in runs)
    kept = refused == rounds and all(run.final == run.rmse[0] for run in runs)
    return f"{refused} of {rounds} rounds were refused{', and the model was kept' if kept else ''}"


def _more_shares(results: Results) -> tuple[str, str]:
    if len(results.holders) < 2:
        raise _NotMeasured("Needs the protocol sharing.")
    fixed, held = (_by_shares(results, majority) for majority in (False, True))
    few, many = results.holders[0], results.holders[-1]
    ratio = ratio_interval(many.series(training=False), few.series(training=False))
    change, grown = (
        median_interval(_paired(ensembles[-1].final, ensembles[0].final))
        for ensembles in (fixed, held)
    )
    same = sum(
        run.final == ensemble.final[0] for run, ensemble in zip(results.holders, fixed, strict=True)
    )
    words = (
        f"One of the holders lies, drawn anew every round. With K fixed at {few.threshold}, going "
        f"from {few.shares} to {many.shares} shares changes the last RMSE by {_spread(change)}; "
        f"with K a majority of N, by {_spread(grown)} (medians over {len(fixed[0].final)} seeds). "
        "Why they differ: opening multiplies the i-th share by the Lagrange weight ±C(K, i), and "
        f"a lie with it. With K fixed the largest weight stays {_weight(fixed[0])}, while the "
        f"chance that the liar is among the first K falls from {_hit(fixed[0])} to "
        f"{_hit(fixed[-1])}; with a majority the chance goes from {_hit(held[0])} to "
        f"{_hit(held[-1])} only, and the largest weight from {_weight(held[0])} to "
        f"{_weight(held[-1])}. The protocol takes {_spread(ratio)} times as long. In {same} of "
        f"{len(fixed)} cases with K fixed, the arithmetic over many seeds ends where the real "
        "protocol does."
    )
    held_up = (_below(change), _below(grown), _at_least(ratio, NOTICEABLE))
    return _all_of(held_up), words


def _weight(ensemble: Ensemble) -> str:
    return f"{comb(ensemble.threshold, ensemble.threshold // 2):,}"


def _hit(ensemble: Ensemble) -> str:
    return f"{ensemble.faulty * ensemble.threshold / ensemble.shares:.0%}".replace("%", " %")


def _by_shares(results: Results, majority: bool) -> list[Ensemble]:
    needed = results.settings.shares_needed
    return [
        ensemble
        for ensemble in matching(results.holder_seeds, fault=WANDERING)
        if ensemble.threshold == (ensemble.shares // 2 + 1 if majority else needed)
    ]


def _crossover(results: Results) -> tuple[str, str]:
    sharing = _attacked(results, "sharing")
    others = [_attacked(results, protocol) for protocol in ("plain", "paillier")]
    _require_the_papers(results)
    _by_attack(results.attacks)
    met = [
        (run, [other[where] for other in others])
        for where, run in sharing.items()
        if all(where in other for other in others)
    ]
    better = [
        f"{run.attack} from {run.malicious}"
        for run, peers in met
        if all(run.final < (1 - NEGLIGIBLE) * peer.final for peer in peers)
    ]
    same = sum(all(peer.integers == run.integers for peer in peers) for run, peers in met)
    words = (
        f"Sharing comes out ahead in {len(better)} of {_count(len(met), 'attacked run')} that all "
        f"three went through{': ' + ', '.join(better) if better else ': there is no crossover'}. "
        f"In {same} of {len(met)} all three opened the same integers in every round"
        + (
            ": each hides the updates and adds them up, and none looks at what it adds."
            if same == len(met)
            else "."
        )
    )
    return (CONFIRMED if better else REFUTED), words


def _attacked(results: Results, protocol: str) -> dict[tuple[str, int], Run]:
    runs = matching(results.attacks, protocol=protocol)
    return {(run.attack, run.malicious): run for run in runs if run.malicious}


def _order_of_seconds(results: Results) -> tuple[str, str]:
    runs = _all_protocols(results)
    spent = {run.protocol: run.seconds() for run in runs}
    plain, paillier, sharing = (run.series() for run in runs)
    ratio = ratio_interval(sharing, paillier)
    slower = [ratio_interval(other, plain) for other in (paillier, sharing)]
    words = (
        "From fast to slow: "
        + ", ".join(f"{name} {_ms(spent[name])}" for name in sorted(spent, key=spent.__getitem__))
        + " an iteration (one client and the server). "
        + f"Sharing takes {_spread(ratio)} times Paillier's. Intervals are over the iterations."
    )
    fastest = _all(_at_least(times, 1.0) for times in slower)
    similar = _all([_at_least(ratio, 1.0), _not(_at_least(ratio, SIMILAR))])
    return _both(fastest, similar), words


def _order_of_bytes(results: Results) -> tuple[str, str]:
    plain, paillier, sharing = _all_protocols(results)
    coefficients = results.task.coefficients
    float32 = 4 * coefficients
    expansions = ", ".join(
        f"{run.protocol} {run.sent:,.0f} bytes ({shown(run.sent / float32)} times float32)"
        for run in (plain, paillier, sharing)
    )
    ciphertext = 2 * results.settings.key_bits // 8
    words = (
        f"For {coefficients} coefficients a client sends an iteration: {expansions}. 20 MB would "
        f"be about {20e6 / ciphertext:,.0f} coefficients at one ciphertext each; here many share "
        f"one of {ciphertext:,} bytes."
    )
    far = paillier.sent >= FAR_ABOVE * plain.sent
    return _both(far, FAR_ABOVE * sharing.sent <= paillier.sent), words


def _dropouts(results: Results) -> tuple[str, str]:
    early = [d for d in results.dropouts if d.moment == BEFORE_SENDING and d.finished]
    _require_the_papers(results)
    most = {name: max((d.lost for d in early if d.protocol == name), default=0) for name in PAPER}
    finished = [d for d in results.dropouts if d.finished and d.protocol in PAPER]
    miss = max((d.error for d in finished if d.error is not None), default=0.0)
    words = (
        f"Most clients of {results.settings.clients} lost before sending with the round still "
        f"finished: {', '.join(f'{name} {most[name]}' for name in PAPER)}. Sharing opens with "
        f"{results.settings.shares_needed} holders left. All {len(finished)} finished rounds "
        f"average the clients that were counted, with equal weights, to {shown(miss)}."
    )
    return _both(most["sharing"] > 0, most["plain"] == most["paillier"] == 0), words


def _textbook(results: Results) -> tuple[str, str]:
    shares = results.textbook.shares
    wrong = [entry for entry in results.textbook.rebuilt if entry[3] != 65]
    words = (
        f"The shares are {', '.join(map(str, shares))}; "
        f"{len(results.textbook.rebuilt) - len(wrong)} of {len(results.textbook.rebuilt)} "
        "reconstructions (each pair, by Lagrange and by Newton) give 65."
    )
    expected = shares == ((1, 80), (2, 95), (3, 110), (4, 125))
    return (CONFIRMED if expected and not wrong else REFUTED), words


def _require_the_papers(results: Results) -> None:
    if not set(PAPER) <= set(results.settings.protocols):
        raise _NotMeasured(f"Needs {', '.join(PAPER)}.")


def _run(runs: Sequence[Run], **wanted: object) -> Run:
    run = first(runs, **wanted)
    if run is None:
        raise _NotMeasured(f"Needs the protocol {wanted.get('protocol', 'sharing')}.")
    return run


def _seeds(results: Results, clients: int) -> Ensemble:
    found = first(results.convergence_seeds, clients=clients)
    if found is None:
        raise _NotMeasured(f"Needs runs with {clients} clients.")
    return found


def _reference(results: Results) -> Run:
    return _run(results.convergence, protocol=REFERENCE, clients=results.settings.clients)


def _all_protocols(results: Results) -> tuple[Run, Run, Run]:
    clients = results.settings.clients
    return (
        _run(results.convergence, protocol="plain", clients=clients),
        _run(results.convergence, protocol="paillier", clients=clients),
        _run(results.convergence, protocol="sharing", clients=clients),
    )


def _paired(many: Sequence[float], few: Sequence[float]) -> list[float]:
    return [a - b for a, b in zip(many, few, strict=True)]


def _by_attack(runs: Sequence[Run]) -> dict[str, list[Run]]:
    if not runs:
        raise _NotMeasured("Needs the protocol that the claim is about.")
    if max(run.malicious for run in runs) == 0:
        raise _NotMeasured("Needs at least one malicious client.")
    return {attack: escalating(runs, attack=attack) for attack in ATTACKS}


def _rises(results: Results, runs: Sequence[Run]) -> dict[str, tuple[float, float, float]]:
    """Return by attack how much the most malicious clients raise the last RMSE over the seeds."""
    _by_attack(runs)
    groups = {attack: escalating(results.attack_seeds, attack=attack) for attack in ATTACKS}
    return {attack: _relative(group[-1].final, group[0].final) for attack, group in groups.items()}


def _relative(ours: Sequence[float], calm: Sequence[float]) -> tuple[float, float, float]:
    return median_interval([one / other - 1 for one, other in zip(ours, calm, strict=True)])


def _rise_words(results: Results, rises: Mapping[str, tuple[float, float, float]]) -> str:
    changes = ", ".join(
        f"{attack} {_percent(middle, signed=True)} ({_percent(low, signed=True)} to "
        f"{_percent(high, signed=True)})"
        for attack, (middle, low, high) in rises.items()
    )
    settings = results.settings
    return (
        f"Change of the last RMSE from 0 to {_count(settings.most_malicious, 'malicious client')}, "
        f"median and its 95 % interval over {settings.seeds} seeds: {changes}."
    )


Decision = bool | None
"""``None`` when an interval straddles the threshold."""


def _at_least(values: tuple[float, float, float], threshold: float) -> Decision:
    _, low, high = values
    return True if low >= threshold else False if high < threshold else None


def _below(change: tuple[float, float, float]) -> bool:
    return change[2] < 0


def _not(decision: Decision) -> Decision:
    return None if decision is None else not decision


def _any(decisions: Iterable[Decision]) -> Decision:
    found = list(decisions)
    return True if True in found else None if None in found else False


def _all(decisions: Iterable[Decision]) -> Decision:
    return _not(_any(_not(decision) for decision in decisions))


def _one(decision: Decision) -> str:
    return _all_of([decision])


def _both(one: Decision, other: Decision) -> str:
    return _all_of([one, other])


def _all_of(decisions: Sequence[Decision]) -> str:
    """Judge what has several parts; an open part leaves open only what hangs on it."""
    if all(decisions):
        return CONFIRMED
    if None not in decisions:
        return PARTLY if any(decisions) else REFUTED
    return PARTLY if True in decisions and False in decisions else NOT_DECIDED


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _up_to(most: int) -> str:
    return "1" if most == 1 else f"1 to {most}"


def _sign(change: tuple[float, float, float]) -> str:
    _, low, high = change
    return "rougher" if low > 0 else "smoother" if high < 0 else "no difference seen"


def _spread(values: tuple[float, float, float]) -> str:
    middle, low, high = values
    return f"{shown(middle)} (95 % interval {shown(low)} to {shown(high)})"


def _percent(value: float, *, signed: bool = False) -> str:
    figure = f"{100 * value:+,.0f}" if abs(value) >= 1 else f"{100 * value:+.2g}"
    return f"{figure if signed else figure.lstrip('+')} %".replace("-", MINUS)


def _ms(seconds: float) -> str:
    return f"{shown(1e3 * seconds)} ms"


_CLAIMS = (
    _Claim(
        "A1",
        6,
        "Encrypted training converges",
        "With homomorphic encryption and two clients, RMSE falls and then stays level.",
        "Confirmed when Paillier's last RMSE is below its first and within "
        f"{_percent(NEGLIGIBLE)} of federated averaging without rounding, and the slope of RMSE "
        "over the last half of the "
        "iterations cannot be told from 0, that is, the 95 % interval of its mean over all seeds "
        "contains 0; partly when only one of the two holds.",
        _converges,
    ),
    _Claim(
        "A2",
        6,
        "More clients make bumps",
        "With eight clients the curve varies and shows bumps, because the data is spread more.",
        "Confirmed when the 95 % interval of the paired difference in roughness (standard "
        "deviation of first differences of RMSE over the last half) between many clients and two "
        "lies above 0; refuted when below 0; partly when it contains 0. Encryption is not the "
        "cause when every iteration stays inside the rounding bound and opens plain's integers.",
        _bumps,
    ),
    _Claim(
        "A3",
        7,
        "Encryption costs time",
        "An iteration with homomorphic encryption takes far longer than one without.",
        f"Confirmed when client and server each take at least {FAR_ABOVE:.0f} times plain's "
        "median seconds an iteration, training included; partly when one of them does; not decided "
        "when a 95 % interval straddles the threshold and the verdict hangs on it.",
        _slower,
    ),
    _Claim(
        "A4",
        8,
        "Encryption does not stop malicious clients",
        "Malicious clients put bumps into the curve under homomorphic encryption.",
        "Confirmed when for every attack the last RMSE with the most malicious clients is at least "
        f"{_percent(NEGLIGIBLE)} above that with none (95 % interval of the median over the "
        "seeds); partly for some attacks.",
        _encryption_is_not_robust,
    ),
    _Claim(
        "A5",
        9,
        "Three decimals are too coarse",
        "Secret sharing with three decimals does not converge.",
        f"Confirmed when the last RMSE at 3 digits is more than {_percent(NEGLIGIBLE)} above "
        "averaging without rounding.",
        _coarse,
    ),
    _Claim(
        "A6",
        9,
        "Precision costs time",
        "Keeping more decimals makes secret sharing slower.",
        "Confirmed when the 95 % interval of the ratio of medians, 9 digits over 3, lies at or "
        f"above {NOTICEABLE}, refuted when below; not decided when it straddles it. Training is "
        "excluded.",
        _precision_is_slow,
    ),
    _Claim(
        "A7",
        10,
        "Sharing suffers from malice too",
        "RMSE rises with malicious clients and with manipulated shares.",
        f"Confirmed when the last RMSE rises by at least {_percent(NEGLIGIBLE)} (95 % interval of "
        "the median over the seeds) both with malicious clients (any attack) and with altered "
        "shares opened from the first K; partly when with one of them.",
        _sharing_is_poisoned,
    ),
    _Claim(
        "A8",
        10,
        "N − K bad shares are survived",
        "Up to N − K shares may be manipulated, since K are enough to rebuild the secret.",
        "Confirmed when the opened integers stay the same both with 1 to N − K shares missing and "
        "with 1 to N − K shares altered, opened from the first K as in the paper; partly when only "
        "with missing ones. What decoding and signatures repair is counted beside the verdict: up "
        "to how many altered shares every number of them left the integers right.",
        _survives,
    ),
    _Claim(
        "A9",
        11,
        "More shares: less error (with K fixed), more time",
        "RMSE falls as the number of shares grows, and computing time grows.",
        "Three parts, with one lying holder: from the smallest to the largest N, the 95 % interval "
        "of the median paired change in the last RMSE lies below 0 with K fixed, and with K a "
        f"majority of N (the default), and the protocol takes at least {NOTICEABLE} times as long. "
        "Confirmed when all hold, partly when some do.",
        _more_shares,
    ),
    _Claim(
        "A10",
        12,
        "Sharing wins when many are malicious",
        "Plain and encrypted training are better with few malicious clients, sharing with many.",
        "Confirmed when in some attacked run sharing ends more than "
        f"{_percent(NEGLIGIBLE)} below both others.",
        _crossover,
    ),
    _Claim(
        "A11",
        13,
        "Sharing takes as long as encryption",
        "Sharing takes about the time of homomorphic encryption, somewhat more; plain is small.",
        "Confirmed when plain is the fastest and sharing takes 1 to "
        f"{SIMILAR:.0f} times Paillier's seconds; partly when one of the two holds; not decided "
        "when a 95 % interval straddles a threshold and the verdict hangs on it.",
        _order_of_seconds,
    ),
    _Claim(
        "A12",
        14,
        "Encryption costs bytes",
        "Homomorphic encryption sends about 20 MB; the other two are negligible.",
        f"Confirmed when a client under Paillier sends at least {FAR_ABOVE:.0f} times plain's "
        f"bytes and at least {FAR_ABOVE:.0f} times sharing's; partly when one of the two holds.",
        _order_of_bytes,
    ),
    _Claim(
        "A13",
        None,
        "Only sharing survives dropouts",
        "Sharing goes on when clients drop out; encryption and plain averaging cannot.",
        "Confirmed when sharing finishes with lost clients and neither of the others does; partly "
        "when sharing does and so does another.",
        _dropouts,
    ),
    _Claim(
        "A14",
        None,
        "The worked example",
        "65 + 15x gives the shares (1, 80), (2, 95), (3, 110), (4, 125), any two of which rebuild "
        "65.",
        "Confirmed when the four shares and every reconstruction come out so.",
        _textbook,
    ),
)
