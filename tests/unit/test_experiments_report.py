"""Verdicts follow from the data by their rules; the report is whole, self-contained and safe."""

import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from veilsum.experiments import compare, figures, report
from veilsum.experiments.claims import (
    CONFIRMED,
    NOT_DECIDED,
    NOT_MEASURED,
    PARTLY,
    REFUTED,
    Verdict,
    verdicts,
)
from veilsum.experiments.lab import prepare
from veilsum.experiments.output import reserved
from veilsum.experiments.results import (
    CHECKED,
    CORRECTED,
    FAULTS,
    INTERLEAVED,
    SIGNED,
    UNCHECKED,
    Cost,
    Results,
    Run,
    Settings,
    Textbook,
)

TINY = Settings(
    dataset="diabetes", clients=4, threshold=2, malicious=1, iterations=4, seeds=2, key_bits=1024
)
PNG = b"\x89PNG\r\n\x1a\n"
Change = Callable[[Results], Results]


@pytest.fixture(scope="module")
def results() -> Results:
    return compare.run(prepare(TINY))


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    def draw(number: int, results: Results, path: Path) -> None:
        assert number in range(6, 15)
        assert results.convergence
        path.write_bytes(PNG)

    monkeypatch.setattr(figures, "draw", draw)


@pytest.fixture(scope="module")
def page(results: Results) -> str:
    return report.render(results, dict.fromkeys(figures.FIGURES, PNG))


def verdict(results: Results, claim: str) -> Verdict:
    return next(v for v in verdicts(results) if v.claim == claim)


def runs(part: str, change: Callable[[Run], Run], **wanted: Any) -> Change:
    """Change those runs of one part of the results that match."""

    def apply(results: Results) -> Results:
        changed = tuple(
            change(run) if all(getattr(run, key) == wanted[key] for key in wanted) else run
            for run in getattr(results, part)
        )
        return replace(results, **{part: changed})

    return apply


def ends_at(rmse: float) -> Callable[[Run], Run]:
    return lambda run: replace(run, rmse=(*run.rmse[:-1], rmse))


def takes(*seconds: float) -> Callable[[Run], Run]:
    costs = tuple(
        Cost(party=party, phase=phase, seconds=seconds * (TINY.iterations // len(seconds)))
        for party, phase in (("client", "protect"), ("server", "open"))
    )
    return lambda run: replace(run, costs=costs)


def seeds(part: str, **values: tuple[float, ...]) -> Callable[..., Change]:
    def where(**wanted: Any) -> Change:
        def apply(results: Results) -> Results:
            changed = tuple(
                replace(e, **values) if all(getattr(e, k) == wanted[k] for k in wanted) else e
                for e in getattr(results, part)
            )
            return replace(results, **{part: changed})

        return apply

    return where


def both(*changes: Change) -> Change:
    def apply(results: Results) -> Results:
        for change in changes:
            results = change(results)
        return results

    return apply


HARMFUL = seeds("attack_seeds", final=(1e3, 1e3))(malicious=1)
HARMLESS = seeds("attack_seeds", final=(1.0, 1.0))(malicious=1)
LEVEL = seeds("convergence_seeds", slope=(-1.0, 1.0))(clients=2)
FALLING = seeds("convergence_seeds", slope=(-1.0, -0.5))(clients=2)
WORSE = runs("convergence", ends_at(1e3), protocol="paillier", clients=2)
SMOOTH = seeds("convergence_seeds", roughness=(1.0, 1.0))
ROUGH = seeds("convergence_seeds", roughness=(2.0, 3.0))


def dropped(**finished: int) -> Change:
    """Let each protocol finish with no more than so many lost clients."""

    def apply(results: Results) -> Results:
        cut = tuple(
            replace(d, error=0.0 if d.lost <= finished.get(d.protocol, 0) else None)
            for d in results.dropouts
        )
        return replace(results, dropouts=cut)

    return apply


def same_integers(results: Results) -> Results:
    return replace(results, faults=tuple(replace(r, integers="same") for r in results.faults))


def slow(part: str, first_ms: float, last_ms: float) -> Change:
    def apply(results: Results) -> Results:
        whole = getattr(results, part)
        spent = [first_ms] * (len(whole) - 1) + [last_ms]
        changed = tuple(takes(ms / 1e3)(run) for run, ms in zip(whole, spent, strict=True))
        return replace(results, **{part: changed})

    return apply


def paced(at_3_digits: tuple[float, ...], at_9_digits: tuple[float, ...]) -> Change:
    spent = {3: at_3_digits, 9: at_9_digits}

    def apply(results: Results) -> Results:
        paces = (replace(p, seconds=spent.get(p.digits, (1.0,))) for p in results.precision_pace)
        return replace(results, precision_pace=tuple(paces))

    return apply


def by_shares(few: float, many: float) -> Change:
    def apply(results: Results) -> Results:
        most = max(e.shares for e in results.holder_seeds)
        changed = tuple(
            replace(e, final=(many, many) if e.shares == most else (few, few))
            for e in results.holder_seeds
        )
        return replace(results, holder_seeds=changed)

    return apply


@pytest.mark.parametrize(
    ("claim", "change", "outcome"),
    [
        ("A1", LEVEL, CONFIRMED),
        ("A1", FALLING, PARTLY),
        ("A1", both(LEVEL, WORSE), PARTLY),
        ("A1", both(FALLING, WORSE), REFUTED),
        ("A2", both(SMOOTH(clients=2), ROUGH(clients=4)), CONFIRMED),
        ("A2", both(SMOOTH(clients=4), ROUGH(clients=2)), REFUTED),
        ("A2", both(SMOOTH(clients=2), SMOOTH(clients=4)), PARTLY),
        (
            "A3",
            both(
                runs("convergence", takes(1e-3), protocol="plain"),
                runs("convergence", takes(1e-2), protocol="paillier"),
            ),
            CONFIRMED,
        ),
        (
            "A3",
            both(
                runs("convergence", takes(1e-3), protocol="plain"),
                runs("convergence", takes(9e-3), protocol="paillier"),
            ),
            REFUTED,
        ),
        (
            "A3",
            both(
                runs("convergence", takes(1e-3), protocol="plain"),
                runs("convergence", takes(2e-3, 2e-2), protocol="paillier"),
            ),
            NOT_DECIDED,
        ),
        ("A4", HARMFUL, CONFIRMED),
        ("A4", HARMLESS, REFUTED),
        ("A4", both(HARMLESS, seeds("attack_seeds", final=(1e3, 1e3))(attack="random")), PARTLY),
        (
            "A4",
            both(HARMFUL, seeds("attack_seeds", final=(1.0, 1e3))(attack="random")),
            NOT_DECIDED,
        ),
        ("A5", runs("precision", ends_at(1e3), digits=3), CONFIRMED),
        ("A5", runs("precision", ends_at(1.0), digits=3), REFUTED),
        ("A6", paced((1.0, 1.0), (2.0, 2.0)), CONFIRMED),
        ("A6", paced((1.0, 1.0), (1.1, 1.1)), REFUTED),
        ("A6", paced((1.0, 2.0), (1.0, 9.0)), NOT_DECIDED),
        ("A7", both(HARMFUL, seeds("fault_seeds", final=(1e9, 1e9))(fault=UNCHECKED)), CONFIRMED),
        ("A7", both(HARMLESS, seeds("fault_seeds", final=(1e9, 1e9))(fault=UNCHECKED)), PARTLY),
        ("A7", both(HARMLESS, seeds("fault_seeds", final=(1.0, 1.0))(fault=UNCHECKED)), REFUTED),
        ("A8", lambda results: results, PARTLY),
        ("A8", same_integers, CONFIRMED),
        ("A9", both(by_shares(9.0, 5.0), slow("holders", 1.0, 2.0)), CONFIRMED),
        (
            "A9",
            both(
                by_shares(9.0, 5.0),
                seeds("holder_seeds", final=(99.0, 99.0))(shares=10, threshold=6),
                slow("holders", 1.0, 2.0),
            ),
            PARTLY,
        ),
        ("A9", both(by_shares(5.0, 9.0), slow("holders", 1.0, 2.0)), PARTLY),
        ("A9", both(by_shares(5.0, 9.0), slow("holders", 1.0, 1.0)), REFUTED),
        ("A10", lambda results: results, REFUTED),
        ("A10", runs("attacks", ends_at(1.0), protocol="sharing", malicious=1), CONFIRMED),
        (
            "A11",
            both(
                runs("convergence", takes(1e-3), protocol="plain"),
                runs("convergence", takes(1e-2), protocol="paillier"),
                runs("convergence", takes(1.5e-2), protocol="sharing"),
            ),
            CONFIRMED,
        ),
        (
            "A11",
            both(
                runs("convergence", takes(1e-1), protocol="plain"),
                runs("convergence", takes(1e-2), protocol="paillier"),
                runs("convergence", takes(1e-3), protocol="sharing"),
            ),
            REFUTED,
        ),
        (
            "A11",
            both(
                runs("convergence", takes(1e-3), protocol="plain"),
                runs("convergence", takes(1e-2), protocol="paillier"),
                runs("convergence", takes(5e-3, 1.5e-2), protocol="sharing"),
            ),
            NOT_DECIDED,
        ),
        (
            "A12",
            runs("convergence", lambda r: replace(r, sent=1e9), protocol="paillier"),
            CONFIRMED,
        ),
        ("A12", runs("convergence", lambda r: replace(r, sent=1.0), protocol="paillier"), REFUTED),
        ("A13", dropped(plain=3, paillier=3, sharing=2), PARTLY),
        ("A13", dropped(plain=0, paillier=0, sharing=2), CONFIRMED),
        ("A13", dropped(plain=3, paillier=3, sharing=0), REFUTED),
        ("A14", lambda results: results, CONFIRMED),
        (
            "A14",
            lambda results: replace(
                results,
                textbook=Textbook(shares=results.textbook.shares, rebuilt=((1, 2, "", 66),)),
            ),
            REFUTED,
        ),
    ],
)
def test_a_verdict_follows_from_the_data(
    results: Results, claim: str, change: Change, outcome: str
) -> None:
    assert verdict(change(results), claim).outcome == outcome


def test_every_claim_is_judged_once_in_order(results: Results) -> None:
    judged = verdicts(results)
    assert [v.claim for v in judged] == [f"A{number}" for number in range(1, 15)]
    assert {v.figure for v in judged} == {None, *figures.FIGURES}
    assert NOT_MEASURED not in {v.outcome for v in judged}


def test_words_quote_the_figures(results: Results) -> None:
    words = verdict(runs("precision", ends_at(987.0), digits=3)(results), "A5").words
    assert "987" in words
    assert words != verdict(results, "A5").words
    refused = verdict(runs("faults", lambda r: replace(r, aborted=0), fault=CHECKED)(results), "A8")
    assert "0 of 8 rounds were refused." in refused.words


def test_words_count_what_each_repair_bore(results: Results) -> None:
    words = verdict(results, "A8").words
    assert (
        "1 by Reed-Solomon decoding (theory: 1, whatever the liars do), where with more 4" in words
    )
    assert "1 by decoding all elements together (theory: at most 1, and for independent" in words
    assert "2 by signatures (theory: 2), which were tried on one client's dealing, for" in words
    assert "sums of shares are signed by nobody." in words
    broken = both(
        runs("faults", lambda r: replace(r, integers="?"), fault=CORRECTED),
        runs("faults", lambda r: replace(r, integers="?"), fault=INTERLEAVED, faulty=1),
        lambda r: replace(r, signed=tuple(replace(d, outcome="wrong") for d in r.signed)),
    )
    words = verdict(broken(results), "A8").words
    assert "0 by Reed-Solomon decoding (theory: 1" in words
    assert "0 by decoding all elements together (theory" in words
    assert "0 by signatures (theory: 2)" in words
    assert verdict(broken(results), "A8").outcome == PARTLY


def test_decoded_runs_are_set_beside_the_poisoned_ones(results: Results) -> None:
    end = f"{results.faults[0].final:.3g}"
    words = verdict(results, "A7").words
    assert (
        f"Decoded instead, one seed ends at {end} with none altered and at {end} with 1." in words
    )
    refused = runs("faults", lambda r: replace(r, aborted=4), fault=CORRECTED)
    assert "Decoding opened none of 2 runs" in verdict(refused(results), "A7").words


@pytest.mark.parametrize(
    ("protocols", "left"),
    [
        (("plain",), {"A14"}),
        (("paillier",), {"A1", "A4", "A14"}),
        (("sharing",), {"A5", "A6", "A7", "A8", "A9", "A14"}),
        (("plain", "paillier"), {"A1", "A2", "A3", "A4", "A14"}),
    ],
)
def test_claims_about_protocols_that_did_not_run_are_not_measured(
    protocols: tuple[str, ...], left: set[str]
) -> None:
    judged = verdicts(compare.run(prepare(replace(TINY, protocols=protocols))))
    assert {v.claim for v in judged if v.outcome != NOT_MEASURED} == left
    assert all(v.words.startswith("Needs") for v in judged if v.outcome == NOT_MEASURED)


@pytest.mark.parametrize("protocol", ["plain", "masking", "threshold_paillier"])
def test_a_single_protocol_is_reported_too(protocol: str, tmp_path: Path) -> None:
    report.write(compare.run(prepare(replace(TINY, protocols=(protocol,)))), tmp_path / "out")
    assert len(list((tmp_path / "out").glob("*.png"))) == 9


def test_without_malice_or_spare_shares_the_report_is_still_written(tmp_path: Path) -> None:
    results = compare.run(prepare(replace(TINY, malicious=0, threshold=4)))
    not_measured = {v.claim for v in verdicts(results) if v.outcome == NOT_MEASURED}
    assert not_measured == {"A4", "A7", "A8", "A10"}
    report.write(results, tmp_path / "out")
    assert len(list((tmp_path / "out").glob("*.png"))) == 9


def test_all_plots_the_data_and_the_page_are_written(results: Results, tmp_path: Path) -> None:
    reports: list[tuple[str, int, int]] = []
    report.write(results, tmp_path / "out", progress=lambda *what: reports.append(what))
    written = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    plots = {f"figure-{number:02d}.png" for number in range(6, 15)}
    assert set(written) == {"report.html", "results.json", *plots}
    assert all(written[name].startswith(PNG) for name in plots)
    assert written["results.json"].decode() == results.to_json()
    assert reports[-1] == ("Plots", 9, 9)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_page_needs_nothing_from_outside(page: str) -> None:
    assert set(re.findall(r'(?:src|href)="([^",]*)', page)) == {
        "data:image/png;base64",
        *(f"#A{number}" for number in range(1, 15)),
    }
    assert "default-src 'none'" in page
    assert not re.search(r"<script|@import|url\(|https?:", page)


def test_the_page_shows_each_verdict_its_words_and_its_rule(results: Results, page: str) -> None:
    text = page.replace("&#39;", "'").replace("&gt;", ">").replace("&lt;", "<")
    for judged in verdicts(results):
        assert judged.words in text
        assert judged.paper in text
        assert judged.rule in text
        assert f'id="{judged.claim}"' in page
    assert page.count('class="badge ') == 28


def test_names_from_the_data_cannot_become_markup(results: Results) -> None:
    evil = replace(results, task=replace(results.task, target="<script>alert(1)</script>"))
    page = report.render(evil, dict.fromkeys(figures.FIGURES, PNG))
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_a_strange_target_name_can_be_drawn(results: Results, tmp_path: Path) -> None:
    strange = replace(results, task=replace(results.task, target="$x^{_ %s" * 9))
    figures.draw(6, strange, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(PNG)


def test_the_tables_show_what_was_measured(results: Results) -> None:
    tables = dict(report.summary(results))
    attack = next(grid for title, grid in tables.items() if "malicious" in title)
    assert attack.head == ("Attack", "Protocol", "0", "1")
    assert [row[1] for row in attack.rows] == ["Plain, Paillier, Sharing, Masking"] * 4
    faults = tables["Last RMSE by faulty shares"]
    assert [row[-1] for row in faults.rows] == ["refused", *[report.NONE] * 4, "refused"]
    assert [row[0] for row in faults.rows] == [*FAULTS, SIGNED]
    assert faults.rows[-1][1:] == (report.NONE, "right", "right", "refused")
    decoded = dict(zip((row[0] for row in faults.rows), faults.rows, strict=True))[CORRECTED]
    assert decoded[1] == decoded[2] != decoded[3] == "refused"
    assert [row[0] for row in tables["Protocols"].rows] == [
        "Plain",
        "Paillier",
        "Sharing",
        "Masking",
    ]
    assert len(tables["The paper's claims"].rows) == 14


def test_what_was_trained_on_flower_says_so(results: Results) -> None:
    elsewhere = replace(results, settings=replace(TINY, engine="flower"))
    titles = [title for title, _ in report.summary(elsewhere)]
    assert titles[:2] == [
        "Protocols, on Flower's simulation",
        "Milliseconds an iteration, on Flower's simulation",
    ]
    assert not any("Flower" in title for title in titles[2:])
    page = report.render(elsewhere, dict.fromkeys(figures.FIGURES, PNG))
    for section in page.split('id="figure-')[1:]:
        elsewhere_too = "Trained on Flower&#39;s simulation" in section
        assert elsewhere_too != ("Trained in one process." in section)
        assert elsewhere_too == (int(section[:2].rstrip('"')) in (6, 7, 13, 14))
    assert "trainings of Figures 6, 7, 13 and 14" in page
    assert report.command(elsewhere.settings).endswith("--engine flower")
    assert "Flower" not in report.render(results, dict.fromkeys(figures.FIGURES, PNG))


def test_the_table_of_lost_clients_has_a_row_for_each_protocol_and_moment(results: Results) -> None:
    grid = report.dropout_grid(results)
    assert grid.head == ("Protocol", "Lost when", "1 lost", "2 lost", "3 lost")
    assert len(grid.rows) == 8
    sharing = ("Sharing", "before sending", "3 counted", "2 counted", "no sum")
    assert sharing in grid.rows
    assert ("Plain", "after sending", "4 counted", "4 counted", "4 counted") in grid.rows


def test_protocols_that_differ_get_rows_of_their_own(results: Results) -> None:
    changed = runs("attacks", ends_at(3.0), protocol="sharing", attack="random")(results)
    names = [row[1] for row in report.attack_grid(changed).rows if row[0] == "random"]
    assert names == ["Plain, Paillier, Masking", "Sharing"]


def test_the_command_repeats_the_settings() -> None:
    assert report.command(Settings()) == "veilsum compare"
    assert report.command(replace(TINY, protocols=("plain", "sharing"), target=None)) == (
        "veilsum compare --dataset diabetes --protocol plain --protocol sharing --clients 4 "
        "--key-bits 1024 --threshold 2 --malicious 1 --iterations 4 --seeds 2"
    )


def test_what_was_not_measured_is_one_line_and_not_part_of_the_task() -> None:
    results = compare.run(prepare(replace(TINY, protocols=("plain",), malicious=0)))
    page = report.render(results, dict.fromkeys(figures.FIGURES, PNG))
    assert "<p>not measured: needs paillier</p>" in page
    assert "<p>not measured: needs a malicious client</p>" in page
    assert page.count("<img") == 3
    assert "-bit modulus" not in page
    assert "K = " not in page


def test_a_protocol_attacked_less_often_leaves_cells_open(results: Results) -> None:
    fewer = tuple(r for r in results.attacks if r.protocol != "paillier" or not r.malicious)
    grid = report.attack_grid(replace(results, attacks=fewer))
    assert [row[-1] for row in grid.rows if row[1] == "Paillier"] == [report.NONE] * 4


def test_words_have_true_minus_signs_and_spaced_percents(results: Results) -> None:
    for judged in verdicts(results):
        for text in (judged.words, judged.rule):
            assert not re.search(r"\d%|(?<![\w])-\d", text)


@pytest.mark.usefixtures("undrawn")
def test_an_earlier_comparison_is_replaced(results: Results, tmp_path: Path) -> None:
    report.write(results, tmp_path / "out")
    later = replace(results, environment=replace(results.environment, seconds=123.0))
    report.write(later, tmp_path / "out")
    assert (tmp_path / "out" / "results.json").read_text() == later.to_json()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.usefixtures("undrawn")
def test_a_swap_that_fails_half_way_brings_the_earlier_comparison_back(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report.write(results, tmp_path / "out")
    real = os.replace

    def replace_once(source: Path, target: Path) -> None:
        if source.parent.name == "new":
            raise KeyboardInterrupt
        real(source, target)

    monkeypatch.setattr(os, "replace", replace_once)
    with pytest.raises(KeyboardInterrupt):
        report.write(results, tmp_path / "out")
    assert (tmp_path / "out" / "results.json").read_text() == results.to_json()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.usefixtures("undrawn")
def test_an_empty_directory_is_filled(results: Results, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    report.write(results, tmp_path / "out")
    assert (tmp_path / "out" / "report.html").is_file()


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, OSError])
@pytest.mark.parametrize("earlier", [True, False])
def test_an_interrupted_write_leaves_what_was_there(
    results: Results,
    tmp_path: Path,
    error: type[BaseException],
    earlier: bool,
) -> None:
    if earlier:
        report.write(results, tmp_path / "out")

    def interrupt(*report: object) -> None:
        if report == ("Plots", 9, 9):
            raise error

    with pytest.raises(error):
        report.write(results, tmp_path / "out", progress=interrupt)
    assert [path.name for path in tmp_path.iterdir()] == ["out"] * earlier
    if earlier:
        assert len(list((tmp_path / "out").iterdir())) == 11


@pytest.mark.parametrize(
    "files",
    [
        {"thesis.tex": "years of work"},
        {"results.json": "[1, 2]"},
        {"results.json": "not JSON"},
        {"results.json": '{"schema": "other/1"}'},
        {"results.json": '{"schema": "veilsum.compare/1"}', "thesis.tex": "years of work"},
        {"report.html": "somebody's report"},
    ],
)
def test_a_directory_that_veilsum_did_not_write_is_refused_and_kept(
    results: Results, tmp_path: Path, files: dict[str, str]
) -> None:
    (tmp_path / "out").mkdir()
    for name, text in files.items():
        (tmp_path / "out" / name).write_text(text)
    with pytest.raises(ValueError, match="holds files that veilsum did not write"):
        report.write(results, tmp_path / "out")
    assert {p.name: p.read_text() for p in (tmp_path / "out").iterdir()} == files


@pytest.mark.usefixtures("undrawn")
def test_an_output_of_another_schema_version_is_replaced(results: Results, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "results.json").write_text('{"schema": "veilsum.compare/9"}')
    report.write(results, tmp_path / "out")
    assert (tmp_path / "out" / "report.html").is_file()


def reserve(output: Path) -> None:
    with reserved(output, report.kind()):
        pass


def test_an_output_that_cannot_be_written_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, _: Path(path) != tmp_path)
    with pytest.raises(ValueError, match="cannot be written to; choose another"):
        reserve(tmp_path / "out")


def test_a_file_a_link_or_the_working_directory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "there").mkdir()
    os.symlink(tmp_path / "there", tmp_path / "link")
    for name in ("file", "link"):
        with pytest.raises(ValueError, match="is not a directory"):
            reserve(tmp_path / name)
    with pytest.raises(ValueError, match="is not a directory; create it"):
        reserve(tmp_path / "nowhere" / "out")
    monkeypatch.chdir(tmp_path / "there")
    for output in (Path(), Path(".."), tmp_path):
        with pytest.raises(ValueError, match="is the working directory or above it"):
            reserve(output)
