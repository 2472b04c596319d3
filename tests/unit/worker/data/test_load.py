"""Every source a job may name, and what is said of each that cannot be used."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from sklearn.datasets import load_digits
from training import DIGITS, save_npz

from atoll_api.spec.data import Data
from atoll_worker.data.load import load
from atoll_worker.errors import BadDataError


def paint(path: Path, size: tuple[int, int], mode: str = "L", value: int = 128) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value if mode == "L" else (value, 0, 0)).save(path)


def from_folder(folder: Path, image_size: int | None = None) -> Data:
    return Data(source=f"file://{folder}", image_size=image_size)


def refusal(data: Data) -> str:
    with pytest.raises(BadDataError) as caught:
        load(data)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_digits_are_scikit_learns() -> None:
    dataset, theirs = load(DIGITS), load_digits()
    assert dataset.sample.shape == (1, 8, 8)
    assert dataset.num_classes == 10
    assert dataset.x_ND.min() == -1
    assert dataset.x_ND.max() == 1
    assert torch.equal((dataset.x_ND[:, 0] + 1) * 8, torch.from_numpy(theirs.images).float())
    assert dataset.label_N is not None
    assert torch.equal(dataset.label_N, torch.from_numpy(theirs.target).long())


def test_the_split_is_disjoint_complete_and_independent_of_everything_but_the_count() -> None:
    dataset = load(DIGITS)
    both = torch.cat([dataset.train, dataset.holdout])
    assert torch.equal(both.sort().values, torch.arange(1797))
    assert len(dataset.holdout) == 360
    assert dataset.holdout[:8].tolist() == [0, 2, 4, 8, 10, 18, 22, 41]


def test_unknown_builtin() -> None:
    assert "builtin://digits" in refusal(Data(source="builtin://mnist"))


def test_missing_path(tmp_path: Path) -> None:
    assert "does not exist" in refusal(from_folder(tmp_path / "nowhere"))


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("1,2")
    assert ".npz" in refusal(from_folder(tmp_path / "x.csv"))


def test_empty_folder(tmp_path: Path) -> None:
    assert "no PNG or JPEG" in refusal(from_folder(tmp_path))


def test_subfolders_are_classes_in_order_of_name(tmp_path: Path) -> None:
    for name in ("b/2.png", "a/1.png", "b/1.PNG"):
        paint(tmp_path / name, (5, 4), value=255 if name.startswith("b") else 0)
    dataset = load(from_folder(tmp_path))
    assert dataset.class_names == ("a", "b")
    assert dataset.label_N is not None
    assert dataset.label_N.tolist() == [0, 1, 1]
    assert dataset.sample.shape == (1, 4, 5)
    assert dataset.x_ND[:, 0, 0, 0].tolist() == [-1, 1, 1]


def test_a_flat_folder_has_no_labels(tmp_path: Path) -> None:
    for index in range(3):
        paint(tmp_path / f"{index}.jpg", (4, 4), "RGB")
    dataset = load(from_folder(tmp_path))
    assert dataset.label_N is None
    assert dataset.sample.shape == (3, 4, 4)
    assert dataset.num_classes == 0


def test_loose_images_beside_class_folders(tmp_path: Path) -> None:
    paint(tmp_path / "a/1.png", (4, 4))
    paint(tmp_path / "loose.png", (4, 4))
    assert "loose.png" in refusal(from_folder(tmp_path))


def test_different_sizes_name_both_files_and_the_way_out(tmp_path: Path) -> None:
    paint(tmp_path / "1.png", (4, 4))
    paint(tmp_path / "2.png", (4, 6))
    message = refusal(from_folder(tmp_path))
    for part in ("1.png", "4x4", "2.png", "4x6", "data.imageSize"):
        assert part in message


def test_different_modes_are_refused_too(tmp_path: Path) -> None:
    paint(tmp_path / "1.png", (4, 4))
    paint(tmp_path / "2.png", (4, 4), "RGB")
    message = refusal(from_folder(tmp_path))
    assert "grey" in message
    assert "RGB" in message


def test_image_size_makes_them_alike(tmp_path: Path) -> None:
    paint(tmp_path / "1.png", (4, 4))
    paint(tmp_path / "2.png", (9, 6), "RGB")
    assert load(from_folder(tmp_path, image_size=3)).sample.shape == (3, 3, 3)


def test_a_damaged_image_is_named(tmp_path: Path) -> None:
    paint(tmp_path / "1.png", (4, 4))
    (tmp_path / "2.png").write_bytes((tmp_path / "1.png").read_bytes()[:-20])
    assert "2.png" in refusal(from_folder(tmp_path))


def test_sixteen_bits_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((4, 4), dtype=np.uint16)).save(tmp_path / "deep.png")
    assert "8 bits" in refusal(from_folder(tmp_path))


def test_one_sample_cannot_be_split(tmp_path: Path) -> None:
    paint(tmp_path / "1.png", (4, 4))
    assert "at least 2" in refusal(from_folder(tmp_path))


def test_uint8_arrays_are_scaled_and_floats_kept(tmp_path: Path) -> None:
    bytes_ = save_npz(tmp_path / "b.npz", x=np.array([[0, 255], [51, 0]], np.uint8), y=[0, 2])
    dataset = load(bytes_)
    assert torch.allclose(dataset.x_ND, torch.tensor([[-1.0, 1.0], [-0.6, -1.0]]))
    assert dataset.num_classes == 3
    floats = load(save_npz(tmp_path / "f.npz", x=np.array([[7.5, -3.0], [0.0, 1.0]])))
    assert floats.x_ND.tolist() == [[7.5, -3.0], [0.0, 1.0]]


def test_safetensors(tmp_path: Path) -> None:
    save_file({"x": torch.ones(4, 3), "y": torch.arange(4)}, tmp_path / "a.safetensors")
    dataset = load(Data(source=f"file://{tmp_path}/a.safetensors"))
    assert dataset.sample.shape == (3,)
    assert dataset.num_classes == 4


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"z": np.zeros((4, 2))}, "no array `x` (found: z)"),
        ({"x": np.zeros(4)}, "at least two dimensions"),
        ({"x": np.zeros((0, 2))}, "holds no values"),
        ({"x": np.zeros((4, 2), np.int64)}, "uint8"),
        ({"x": np.array([[1.0], [np.nan]])}, "first in sample 1"),
        ({"x": np.array([[1.0], [np.inf]])}, "NaN or infinite"),
        ({"x": np.zeros((4, 2)), "y": np.zeros(3, np.int64)}, "one label a sample"),
        ({"x": np.zeros((4, 2)), "y": np.zeros(4)}, "integers"),
        ({"x": np.zeros((4, 2)), "y": np.array([0, 1, -1, 0])}, "-1"),
        ({"x": np.zeros((4, 2)), "y": np.array([0, 1, 5_000_000, 0])}, "number the classes from 0"),
    ],
)
def test_wrong_arrays(tmp_path: Path, arrays: dict[str, object], said: str) -> None:
    assert said in refusal(save_npz(tmp_path / "a.npz", **arrays))


def test_pickles_are_not_loaded(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.array([{}, {}], dtype=object))
    assert "cannot be read" in refusal(Data(source=f"file://{tmp_path}/a.npz"))


def test_a_header_that_promises_the_moon_is_refused(tmp_path: Path) -> None:
    header = io.BytesIO()
    moon = {"descr": "<f4", "fortran_order": False, "shape": (2**45, 4)}  # no machine maps as much
    np.lib.format.write_array_header_1_0(header, moon)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", header.getvalue())
    assert "more memory than there is" in refusal(Data(source=f"file://{tmp_path}/a.npz"))


@pytest.mark.parametrize("name", ["a.npz", "a.safetensors"])
def test_damaged_files(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"PK\x03\x04 nothing")
    assert "cannot be read" in refusal(Data(source=f"file://{tmp_path / name}"))


def test_image_size_is_for_folders_only(tmp_path: Path) -> None:
    data = save_npz(tmp_path / "a.npz", x=np.zeros((4, 2)))
    assert "imageSize" in refusal(data.model_copy(update={"image_size": 8}))


def test_the_digest_sees_every_value_and_label(tmp_path: Path) -> None:
    x, y = np.zeros((4, 2)), np.array([0, 1, 0, 1])
    other = x.copy()
    other[3, 1] = 1e-3
    digests = [
        load(save_npz(tmp_path / f"{index}.npz", **arrays)).digest
        for index, arrays in enumerate(
            ({"x": x, "y": y}, {"x": x, "y": y}, {"x": other, "y": y}, {"x": x, "y": 1 - y})
        )
    ]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3
