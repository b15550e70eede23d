import numpy as np
import pytest

from tinygan_keras.evaluation.feature_store import FeatureStore
from tinygan_keras.evaluation.metrics.moments import feature_statistics

WIDTHS = {"features": 3, "distance": 1}


def opened(folder, widths=WIDTHS, rows=5, fingerprint="a"):
    return FeatureStore(folder, widths, rows, fingerprint)


def rows(start, stop):
    features = np.arange(3 * start, 3 * stop, dtype="float32").reshape(-1, 3)
    return {"features": features, "distance": features[:, 0]}


def read(store, name="features"):
    return np.concatenate(list(store.column(name).chunks()))


def test_rows_come_back_in_order_and_in_any_order(tmp_path):
    store = opened(tmp_path / "store")
    store.append(rows(0, 2))
    store.append(rows(2, 5))
    assert store.count == 5
    column = store.column("features")
    assert (len(column), column.width) == (5, 3)
    assert read(store).tolist() == rows(0, 5)["features"].tolist()
    assert read(store, "distance").tolist() == [[0.0], [3.0], [6.0], [9.0], [12.0]]
    assert column.take([4, 0]).tolist() == [[12, 13, 14], [0, 1, 2]]
    for ours, expected in zip(
        column.statistics, feature_statistics(rows(0, 5)["features"]), strict=True
    ):
        np.testing.assert_array_equal(ours, expected)


def test_a_second_store_goes_on_where_the_first_ended(tmp_path):
    opened(tmp_path).append(rows(0, 2))
    store = opened(tmp_path)
    assert store.count == 2
    store.append(rows(2, 5))
    assert read(store).tolist() == rows(0, 5)["features"].tolist()


def test_half_an_append_is_written_again(tmp_path):
    opened(tmp_path).append(rows(0, 2))
    np.lib.format.open_memmap(tmp_path / "features.npy", "r+")[2:4] = -1
    store = opened(tmp_path)
    store.append(rows(2, 5))
    assert read(store).tolist() == rows(0, 5)["features"].tolist()


@pytest.mark.parametrize(
    "options",
    [{"fingerprint": "b"}, {"widths": {"features": 3}}, {"rows": 6}],
    ids=["maker", "columns", "rows"],
)
def test_rows_of_something_else_are_dropped_and_counted(tmp_path, capsys, options):
    opened(tmp_path).append(rows(0, 2))
    assert opened(tmp_path, **options).count == 0
    said = f"Dropped 2 rows in {tmp_path}, of another evaluation or damaged.\n"
    assert capsys.readouterr().out == said


@pytest.mark.parametrize("damaged", ["features", "distance"])
@pytest.mark.parametrize("size", [None, 0, 130], ids=["missing", "empty", "short"])
def test_rows_are_dropped_where_a_column_lacks_some(tmp_path, capsys, damaged, size):
    opened(tmp_path).append(rows(0, 2))
    file = tmp_path / f"{damaged}.npy"
    if size is None:
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:size])
    store = opened(tmp_path)
    assert store.count == 0
    said = f"Dropped 2 rows in {tmp_path}, of another evaluation or damaged.\n"
    assert capsys.readouterr().out == said
    store.append(rows(5, 10))
    assert read(store).tolist() == rows(5, 10)["features"].tolist()


def test_going_on_and_starting_afresh_print_nothing(tmp_path, capsys):
    opened(tmp_path).append(rows(0, 2))
    opened(tmp_path)
    opened(tmp_path / "other")
    assert capsys.readouterr().out == ""


def test_columns_of_different_length_are_refused(tmp_path):
    store = opened(tmp_path)
    with pytest.raises(ValueError):
        store.append({**rows(0, 2), "distance": [0.0]})
    assert store.count == 0
