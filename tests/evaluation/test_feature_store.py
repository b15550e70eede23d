import numpy as np
import pytest

from tinygan_keras.evaluation.feature_store import FeatureStore

WIDTHS = {"features": 3, "distance": 1}


def rows(start, stop):
    features = np.arange(3 * start, 3 * stop, dtype="float32").reshape(-1, 3)
    return {"features": features, "distance": features[:, 0]}


def read(store, name="features"):
    return np.concatenate(list(store.chunks(name, rows=2)))


def test_rows_come_back_in_order_and_in_any_order(tmp_path):
    store = FeatureStore(tmp_path / "store", WIDTHS, "a")
    store.append(rows(0, 2))
    store.append(rows(2, 5))
    assert store.count == 5
    assert read(store).tolist() == rows(0, 5)["features"].tolist()
    assert read(store, "distance").tolist() == [[0.0], [3.0], [6.0], [9.0], [12.0]]
    assert store.take("features", [4, 0]).tolist() == [[12, 13, 14], [0, 1, 2]]


def test_a_second_store_goes_on_where_the_first_ended(tmp_path):
    FeatureStore(tmp_path, WIDTHS, "a").append(rows(0, 2))
    store = FeatureStore(tmp_path, WIDTHS, "a")
    assert store.count == 2
    store.append(rows(2, 3))
    assert read(store).tolist() == rows(0, 3)["features"].tolist()


def test_half_an_append_is_cut_off(tmp_path):
    FeatureStore(tmp_path, WIDTHS, "a").append(rows(0, 2))
    with open(tmp_path / "features.float32", "ab") as file:
        file.write(b"half a row")
    store = FeatureStore(tmp_path, WIDTHS, "a")
    store.append(rows(2, 4))
    assert read(store).tolist() == rows(0, 4)["features"].tolist()


@pytest.mark.parametrize(
    ("widths", "fingerprint"), [(WIDTHS, "b"), ({"features": 3}, "a")], ids=["maker", "columns"]
)
def test_rows_of_something_else_are_dropped_and_counted(tmp_path, capsys, widths, fingerprint):
    FeatureStore(tmp_path, WIDTHS, "a").append(rows(0, 2))
    assert FeatureStore(tmp_path, widths, fingerprint).count == 0
    said = f"Dropped 2 rows in {tmp_path}: they are of another evaluation. Starting anew.\n"
    assert capsys.readouterr().out == said


@pytest.mark.parametrize("damaged", ["features", "distance"])
@pytest.mark.parametrize("size", [None, 0, 7], ids=["missing", "empty", "short"])
def test_rows_are_dropped_where_a_column_lacks_some(tmp_path, capsys, damaged, size):
    FeatureStore(tmp_path, WIDTHS, "a").append(rows(0, 2))
    file = tmp_path / f"{damaged}.float32"
    if size is None:
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:size])
    store = FeatureStore(tmp_path, WIDTHS, "a")
    assert store.count == 0
    said = f"Dropped 2 rows in {tmp_path}: {file.name} is missing or too short. Starting anew.\n"
    assert capsys.readouterr().out == said
    store.append(rows(5, 6))
    assert read(store).tolist() == [[15, 16, 17]]
    assert read(store, "distance").tolist() == [[15]]


def test_going_on_and_starting_afresh_print_nothing(tmp_path, capsys):
    FeatureStore(tmp_path, WIDTHS, "a").append(rows(0, 2))
    FeatureStore(tmp_path, WIDTHS, "a")
    FeatureStore(tmp_path / "other", WIDTHS, "a")
    assert capsys.readouterr().out == ""


def test_columns_of_different_length_are_refused(tmp_path):
    store = FeatureStore(tmp_path, WIDTHS, "a")
    with pytest.raises(ValueError):
        store.append({**rows(0, 2), "distance": [0.0]})
    assert store.count == 0


def test_columns_can_be_read_under_other_names(tmp_path):
    store = FeatureStore(tmp_path, {"teacher_features": 3, "distance": 1}, "a")
    view = store.renamed({"features": "teacher_features"})
    store.append({"teacher_features": rows(0, 4)["features"], "distance": np.zeros(4)})
    assert (view.count, view.widths) == (4, {"features": 3})
    assert read(view).tolist() == rows(0, 4)["features"].tolist()
    assert view.take("features", [3]).tolist() == [[9, 10, 11]]
