import gzip

import numpy as np
import pytest

from veilsum.learning import datasets

SHIPPED = {  # rows, features, sd of the target, RMSE of least squares
    "bike_sharing_day": (731, 11, 1936, 865.2),
    "concrete": (1030, 8, 16.70, 10.35),
    "diabetes": (442, 10, 77.01, 53.48),
    "energy_efficiency": (768, 8, 10.08, 2.919),
    "wine_quality": (6497, 12, 0.8732, 0.7324),
}


def test_names_are_those_of_the_tables_that_ship():
    assert datasets.names() == tuple(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_table_has_its_published_size_spread_and_least_squares_error(name):
    rows, features, deviation, error = SHIPPED[name]
    table = datasets.load(name)
    assert table.X.shape == (rows, features)
    assert len(table.feature_names) == features
    assert table.y.std() == pytest.approx(deviation, rel=1e-3)
    design = np.column_stack([table.X, np.ones(rows)])
    residuals = table.y - design @ np.linalg.lstsq(design, table.y)[0]
    assert np.sqrt(np.mean(residuals**2)) == pytest.approx(error, rel=1e-3)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_table_names_its_licence_and_the_work_to_cite(name):
    table = datasets.load(name)
    assert table.licence in ("CC BY 4.0", "BSD-3-Clause")
    assert table.citation
    assert table.target_name not in table.feature_names


def test_the_energy_tables_columns_are_exactly_collinear():
    table = datasets.load("energy_efficiency")
    surface, wall, roof = table.X[:, 1:4].T
    assert np.array_equal(surface, wall + 2 * roof)


def test_loading_twice_gives_independent_arrays():
    first = datasets.load("diabetes")
    first.X[:] = 0
    assert datasets.load("diabetes").X.any()


def test_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'boston'.*concrete"):
        datasets.load("boston")


def test_a_mistyped_name_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match=r"^'concretee' is not a shipped.*did you mean concrete\?"):
        datasets.load("concretee")


@pytest.fixture
def written(tmp_path):
    def write(content, name="table.csv"):
        path = tmp_path / name
        data = content if isinstance(content, bytes) else content.encode()
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    return write


GOOD = "a,b,t\n1,2,3\n-4.5,5e1, 6 \n"


@pytest.mark.parametrize("name", ["table.csv", "table.csv.gz"])
def test_a_csv_is_read_as_it_stands(written, name):
    table = datasets.read_csv(written(GOOD, name), target="b")
    assert (table.name, table.target_name, table.feature_names) == ("table", "b", ("a", "t"))
    assert np.array_equal(table.X, [[1, 3], [-4.5, 6]])
    assert np.array_equal(table.y, [2, 50])
    assert table.licence is None
    assert table.citation is None


def test_byte_order_mark_quotes_crlf_and_blank_lines_are_understood(written):
    path = written(b'\xef\xbb\xbf"a","t"\r\n\r\n"1","2"\r\n3,4\r\n\r\n')
    table = datasets.read_csv(str(path), target="t")
    assert table.feature_names == ("a",)
    assert np.array_equal(table.X, [[1], [3]])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("a,t\n", "no row of numbers"),
        ("a,t\n1,2\n3\n", r"line 3: 1 cells, but the header names 2 columns"),
        ("a,t\n1,2,3\n", r"line 2: 3 cells, but the header names 2 columns"),
        ("a,t\n1,2\nred,4\n", r"line 3, column 'a': 'red' is not a number"),
        ("a,t\n1,2\n3,1_000\n", r"line 3, column 't': '1_000' is not a number"),
        ("a,t\n1,\n", r"line 2, column 't': an empty cell is not a number"),
        ("a,t\n1,NaN\n", r"line 2, column 't': 'NaN' is not a finite number"),
        ("a,t\n-inf,2\n", r"line 2, column 'a': '-inf' is not a finite number"),
        ("a,t\n1e999,2\n", r"line 2, column 'a': '1e999' is not a finite number"),
        ("a,t\n" + "x" * 99 + ",2\n", r"column 'a': 'x{37}\.\.\.' is not a number"),
        ("a,t\n" + "1" * 200_000 + ",2\n", r"line 2: field larger than"),
        ("a,,t\n1,2,3\n", "column 2 has no name"),
        ("a,a,t\n1,2,3\n", "two columns are named 'a'"),
        ("a,b\n1,2\n", r"no column 't'; its columns are a, b"),
        ("a;t\n1;2\n", "is the file separated by semicolons?.*decimals with a point"),
        ("a\tt\n1\t2\n", "is the file separated by tabs?"),
        ("a;b;t\n1,5;2;3\n", "is the file separated by semicolons?"),
        ('a,t\n"1,5",2\n', r"'1,5' is not a number; write decimals with a point"),
        ("a,t\n1,5,2\n", r"3 cells, but the header names 2 columns; if decimals have a comma"),
        ("1,2\n3,4\n", "the first line holds only numbers, but it must name the columns"),
        ("t\n1\n", "is the only column.*separated by commas"),
        (b"a,t\n\xff,2\n", "is not UTF-8"),
    ],
)
def test_a_malformed_csv_is_refused_with_the_place(written, content, message):
    with pytest.raises(ValueError, match=message):
        datasets.read_csv(written(content), target="t")


def test_line_numbers_count_blank_lines(written):
    with pytest.raises(ValueError, match="line 5"):
        datasets.read_csv(written("a,t\n\n1,2\n\nx,2\n"), target="t")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"there is no file .*nowhere\.csv"):
        datasets.read_csv(tmp_path / "nowhere.csv", target="t")


def test_a_folder_is_not_a_table(tmp_path):
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(ValueError, match="there is no file"):
        datasets.read_csv(tmp_path / "folder.csv", target="t")


@pytest.mark.parametrize("name", ["table.txt", "table.gz", "table"])
def test_another_kind_of_file_is_refused(written, name):
    with pytest.raises(ValueError, match=r"must end in \.csv or \.csv\.gz"):
        datasets.read_csv(written(GOOD, name), target="t")


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda data: data[:-9], id="truncated"),
        pytest.param(lambda data: b"PK" + data[2:], id="no gzip at all"),
        pytest.param(lambda data: data[:10] + b"\xff" + data[11:], id="no deflate block"),
        pytest.param(lambda data: data[:-8] + bytes(8), id="wrong checksum"),
    ],
)
def test_a_damaged_gzip_file_is_refused(written, damage):
    path = written(GOOD, "table.csv.gz")
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match="cannot be read"):
        datasets.read_csv(path, target="t")
