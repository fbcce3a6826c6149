"""The claims of paper [A], each with a stated rule that turns measurements into a verdict."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from veilsum.experiments.results import (
    ATTACKS,
    BEFORE_SENDING,
    CHECKED,
    MISSING,
    PROTOCOLS,
    REFERENCE,
    UNCHECKED,
    WANDERING,
    Ensemble,
    Results,
    Run,
    escalating,
    first,
    interval,
    matching,
    shown,
)

NEGLIGIBLE = 0.01
"""A relative difference of RMSE below this is called none."""
FAR_ABOVE = 10.0
"""A factor of time or size from which one thing is called far above another."""
NOTICEABLE = 1.25
"""A factor of time from which something is called slower."""
SIMILAR = 2.0
"""A factor of time up to which two things are called about the same."""

CONFIRMED, PARTLY, REFUTED, NOT_MEASURED = "confirmed", "partly", "refuted", "not measured"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One claim of the paper and what the measurements say about it."""

    claim: str
    figure: int | None
    title: str
    paper: str
    rule: str
    outcome: str
    words: str


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
    change = interval(_seeds(results, 2).slope)
    level = change[1] <= 0 <= change[2]
    words = (
        f"RMSE goes from {shown(ours.rmse[0])} to {shown(ours.final)}, {_percent(distance)} away "
        f"from averaging without rounding. The slope of the last half is {_spread(change)} an "
        f"iteration, {'not different from' if level else 'unlike'} 0 and "
        f"{_percent(abs(change[0]) / ours.final)} of the last RMSE."
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
    client, server = (ours.seconds(p) / plain.seconds(p) for p in ("client", "server"))
    words = (
        f"With {results.settings.key_bits}-bit keys a client needs {shown(client)} times plain's "
        f"seconds ({_ms(ours.seconds('client'))} against {_ms(plain.seconds('client'))}), the "
        f"server {shown(server)} times ({_ms(ours.seconds('server'))} against "
        f"{_ms(plain.seconds('server'))})."
    )
    return _both(client >= FAR_ABOVE, server >= FAR_ABOVE), words


def _encryption_is_not_robust(results: Results) -> tuple[str, str]:
    ours = list(matching(results.attacks, protocol="paillier"))
    hurt = _hurtful(ours)
    same = _same_integers(ours, list(matching(results.attacks, protocol="plain")))
    words = (
        f"{_hurt_words(ours)} Paillier opened plain's integers in {same} of {len(ours)} attacked "
        "runs, so it protects no better and no worse than plain."
    )
    return _share_of(len(hurt), len(ATTACKS)), words


def _coarse(results: Results) -> tuple[str, str]:
    reference = _reference(results)
    three = _run(results.precision, digits=3)
    excess = three.final / reference.final - 1
    good = [r.digits for r in results.precision if r.final <= (1 + NEGLIGIBLE) * reference.final]
    enough = f"from {min(good)} digits on" if good else "at none of the digits tried"
    words = (
        f"At 3 digits the last RMSE is {shown(three.final)}, {_percent(excess, signed=True)} "
        f"against {shown(reference.final)} without rounding; {enough} it is within "
        f"{NEGLIGIBLE:.0%}."
    )
    return (CONFIRMED if excess > NEGLIGIBLE else REFUTED), words


def _precision_is_slow(results: Results) -> tuple[str, str]:
    coarse, fine = _run(results.precision, digits=3), _run(results.precision, digits=9)
    ratio = fine.protocol_seconds / coarse.protocol_seconds
    wider = fine.sent > coarse.sent
    words = (
        f"The protocol takes {_ms(coarse.protocol_seconds)} an iteration at 3 digits and "
        f"{_ms(fine.protocol_seconds)} at 9, {shown(ratio)} times as long, and a client sends "
        f"{shown(fine.sent / coarse.sent)} times the bytes"
        + (", as a coefficient then fills several field elements." if wider else ".")
    )
    return (CONFIRMED if ratio >= NOTICEABLE else REFUTED), words


def _sharing_is_poisoned(results: Results) -> tuple[str, str]:
    runs = list(matching(results.attacks, protocol="sharing"))
    hurt = _hurtful(runs)
    altered = _faulty(results, UNCHECKED)
    clean, worst = altered[0], max(altered[1:], key=lambda run: run.final)
    broken = worst.final > (1 + NEGLIGIBLE) * clean.final
    words = (
        f"{_hurt_words(runs)} Altered shares opened from the first K take the last RMSE from "
        f"{shown(clean.final)} to as much as {shown(worst.final)}, with {worst.faulty} of "
        f"{worst.shares} holders lying."
    )
    return _both(bool(hurt), broken), words


def _survives(results: Results) -> tuple[str, str]:
    spare = results.settings.clients - results.settings.shares_needed
    calm, *missing = _faulty(results, MISSING)
    enough = [run for run in missing if run.faulty <= spare]
    too_few = [run for run in missing if run.faulty > spare]
    exact = _unchanged(calm, enough)
    altered, checked = _faulty(results, UNCHECKED)[1:], _faulty(results, CHECKED)[1:]
    survived = _unchanged(calm, altered)
    words = (
        f"Missing: with 1 to {spare} of {calm.shares} shares gone, {exact} of {len(enough)} runs "
        f"opened the same integers as with none gone; with {spare + 1} gone, {_refusals(too_few)}. "
        f"Altered, opened from the first K as in the paper: {survived} of {len(altered)} runs "
        f"opened the right integers. Altered, all shares checked: {_refusals(checked)}. Correcting "
        "altered shares (Reed-Solomon, interleaved, authenticated) is not part of this release and "
        "therefore not shown."
    )
    return _both(exact == len(enough), survived == len(altered)), words


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
    ratio = many.protocol_seconds / few.protocol_seconds
    change = interval(_paired(fixed[-1].final, fixed[0].final))
    same = sum(
        run.final == ensemble.final[0] for run, ensemble in zip(results.holders, fixed, strict=True)
    )
    words = (
        f"With {few.faulty} lying holder, drawn anew every round, and K kept at {few.threshold}, "
        f"going from {few.shares} to {many.shares} shares changes the last RMSE by "
        f"{_spread(change)}; with K a majority of N, by "
        f"{_spread(interval(_paired(held[-1].final, held[0].final)))}. The chance that the liar is "
        f"among the first K goes from {_hit(fixed[0])} to {_hit(fixed[-1])} with K kept, and from "
        f"{_hit(held[0])} to {_hit(held[-1])} with a majority. Time grows "
        f"by a factor of {shown(ratio)}. In {same} of {len(fixed)} cases the arithmetic over many "
        "seeds ends where the real protocol does."
    )
    return _both(change[2] < 0, ratio >= NOTICEABLE), words


def _hit(ensemble: Ensemble) -> str:
    return f"{ensemble.faulty * ensemble.threshold / ensemble.shares:.0%}"


def _by_shares(results: Results, majority: bool) -> list[Ensemble]:
    needed = results.settings.shares_needed
    return [
        ensemble
        for ensemble in matching(results.holder_seeds, fault=WANDERING)
        if ensemble.threshold == (ensemble.shares // 2 + 1 if majority else needed)
    ]


def _crossover(results: Results) -> tuple[str, str]:
    sharing = list(matching(results.attacks, protocol="sharing"))
    others = [list(matching(results.attacks, protocol=p)) for p in ("plain", "paillier")]
    if not sharing or not all(others):
        raise _NotMeasured("Needs all three protocols.")
    better = [
        f"{run.attack} from {run.malicious}"
        for run, *peers in zip(sharing, *others, strict=True)
        if all(run.final < (1 - NEGLIGIBLE) * peer.final for peer in peers)
    ]
    same = min(_same_integers(sharing, other) for other in others)
    words = (
        f"Sharing comes out ahead in {len(better)} of {len(sharing)} attacked runs"
        f"{': ' + ', '.join(better) if better else ': there is no crossover'}. In {same} of "
        f"{len(sharing)} runs all three protocols opened the same integers in every round"
        + (
            ": each hides the updates and adds them up, and none looks at what it adds."
            if same == len(sharing)
            else "."
        )
    )
    return (CONFIRMED if better else REFUTED), words


def _order_of_seconds(results: Results) -> tuple[str, str]:
    runs = _all_protocols(results)
    spent = {run.protocol: run.seconds() for run in runs}
    order = sorted(spent, key=lambda name: spent[name])
    ratio = spent["sharing"] / spent["paillier"]
    words = (
        "From fast to slow: "
        + ", ".join(f"{name} {_ms(spent[name])}" for name in order)
        + " an iteration (one client and the server). "
        + f"Sharing takes {shown(ratio)} times Paillier's."
    )
    return _both(order[0] == "plain", 1 <= ratio <= SIMILAR), words


def _order_of_bytes(results: Results) -> tuple[str, str]:
    plain, paillier, sharing = _all_protocols(results)
    coefficients = results.task.coefficients
    float32 = 4 * coefficients
    expansions = ", ".join(
        f"{run.protocol} {run.sent:,.0f} bytes ({shown(run.sent / float32)} times float32)"
        for run in (plain, paillier, sharing)
    )
    words = (
        f"For {coefficients} coefficients a client sends an iteration: {expansions}. 20 MB would "
        f"be about {20e6 * coefficients / paillier.sent:,.0f} unpacked coefficients. Packed "
        "encryption is not part of this release and therefore not shown."
    )
    far = paillier.sent >= FAR_ABOVE * plain.sent
    return _both(far, FAR_ABOVE * sharing.sent <= paillier.sent), words


def _dropouts(results: Results) -> tuple[str, str]:
    early = [d for d in results.dropouts if d.moment == BEFORE_SENDING and d.finished]
    if set(results.settings.protocols) != set(PROTOCOLS):
        raise _NotMeasured("Needs all three protocols.")
    most = {
        name: max((d.lost for d in early if d.protocol == name), default=0) for name in PROTOCOLS
    }
    finished = [d for d in results.dropouts if d.finished]
    miss = max((d.error for d in finished if d.error is not None), default=0.0)
    words = (
        f"Most clients of {results.settings.clients} lost before sending with the round still "
        f"finished: {', '.join(f'{name} {most[name]}' for name in PROTOCOLS)}. Sharing opens with "
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


def _same_integers(ours: Sequence[Run], theirs: Sequence[Run]) -> int:
    return sum(a.integers == b.integers for a, b in zip(ours, theirs, strict=False))


def _by_attack(runs: Sequence[Run]) -> dict[str, list[Run]]:
    if not runs:
        raise _NotMeasured("Needs the protocol that the claim is about.")
    groups = {attack: escalating(runs, attack=attack) for attack in ATTACKS}
    if max(run.malicious for run in runs) == 0:
        raise _NotMeasured("Needs at least one malicious client.")
    return groups


def _hurtful(runs: Sequence[Run]) -> list[str]:
    return [
        attack
        for attack, group in _by_attack(runs).items()
        if group[-1].final > (1 + NEGLIGIBLE) * group[0].final
    ]


def _hurt_words(runs: Sequence[Run]) -> str:
    changes = ", ".join(
        f"{attack} {shown(group[0].final)} to {shown(group[-1].final)}"
        for attack, group in _by_attack(runs).items()
    )
    most = max(run.malicious for run in runs)
    return f"Last RMSE from 0 to {most} malicious clients: {changes}."


def _both(one: bool, other: bool) -> str:
    return (REFUTED, PARTLY, CONFIRMED)[one + other]


def _share_of(count: int, total: int) -> str:
    return CONFIRMED if count == total else PARTLY if count else REFUTED


def _sign(change: tuple[float, float, float]) -> str:
    _, low, high = change
    return "rougher" if low > 0 else "smoother" if high < 0 else "no difference seen"


def _spread(values: tuple[float, float, float]) -> str:
    mean, low, high = values
    return f"{shown(mean)} (95 % interval {shown(low)} to {shown(high)})"


def _percent(value: float, *, signed: bool = False) -> str:
    return f"{100 * value:+.2g} %" if signed else f"{100 * value:.2g} %"


def _ms(seconds: float) -> str:
    return f"{shown(1e3 * seconds)} ms"


_CLAIMS = (
    _Claim(
        "A1",
        6,
        "Encrypted training converges",
        "With homomorphic encryption and two clients, RMSE falls and then stays level.",
        f"Confirmed when Paillier's last RMSE is below its first and within {NEGLIGIBLE:.0%} of "
        "federated averaging without rounding, and the 95 % interval of the slope of the last half "
        "over the seeds contains 0; partly when only one of the two holds.",
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
        "typical seconds an iteration, training included; partly when one of them does.",
        _slower,
    ),
    _Claim(
        "A4",
        8,
        "Encryption does not stop malicious clients",
        "Malicious clients put bumps into the curve under homomorphic encryption.",
        f"Confirmed when the last RMSE with the most malicious clients is more than "
        f"{NEGLIGIBLE:.0%} above that with none, for every attack; partly for some attacks.",
        _encryption_is_not_robust,
    ),
    _Claim(
        "A5",
        9,
        "Three decimals are too coarse",
        "Secret sharing with three decimals does not converge.",
        f"Confirmed when the last RMSE at 3 digits is more than {NEGLIGIBLE:.0%} above averaging "
        "without rounding.",
        _coarse,
    ),
    _Claim(
        "A6",
        9,
        "Precision costs time",
        "Keeping more decimals makes secret sharing slower.",
        f"Confirmed when the protocol takes at least {NOTICEABLE} times as long at 9 digits as at "
        "3, training excluded.",
        _precision_is_slow,
    ),
    _Claim(
        "A7",
        10,
        "Sharing suffers from malice too",
        "RMSE rises with malicious clients and with manipulated shares.",
        f"Confirmed when RMSE rises by more than {NEGLIGIBLE:.0%} both with malicious clients (any "
        "attack) and with altered shares opened from the first K; partly when with one of them.",
        _sharing_is_poisoned,
    ),
    _Claim(
        "A8",
        10,
        "N − K bad shares are survived",
        "Up to N − K shares may be manipulated, since K are enough to rebuild the secret.",
        "Confirmed when the opened integers stay the same both with 1 to N − K shares missing and "
        "with 1 to N − K shares altered; partly when only with missing ones.",
        _survives,
    ),
    _Claim(
        "A9",
        11,
        "More shares: less error, more time",
        "RMSE falls as the number of shares grows, and computing time grows.",
        "Confirmed when, with one lying holder and K fixed, the 95 % interval of the paired change "
        "in the last RMSE from the smallest to the largest N lies below 0, and the protocol takes "
        f"at least {NOTICEABLE} times as long; partly when one of the two holds.",
        _more_shares,
    ),
    _Claim(
        "A10",
        12,
        "Sharing wins when many are malicious",
        "Plain and encrypted training are better with few malicious clients, sharing with many.",
        f"Confirmed when in some attacked run sharing ends more than {NEGLIGIBLE:.0%} below both "
        "others.",
        _crossover,
    ),
    _Claim(
        "A11",
        13,
        "Sharing takes as long as encryption",
        "Sharing takes about the time of homomorphic encryption, somewhat more; plain is small.",
        "Confirmed when plain is the fastest and sharing takes 1 to "
        f"{SIMILAR:.0f} times Paillier's seconds; partly when one of the two holds.",
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
