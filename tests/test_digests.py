"""Digests are those of the bytes, of the whole file and of parts of it alike."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from blurgen.files.digests import FileRecord, digest_areas, record_file


@given(st.binary(max_size=3000), st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 3000)), max_size=4))
def test_a_file_and_areas_of_it_in_any_order(content, ends):
    areas = [
        (min(a, b, len(content)), min(max(a, b), len(content)) - min(a, b, len(content))) for a, b in ends
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(content)
        record, hasher = digest_areas(path, areas)
        assert record == record_file(path) == FileRecord(len(content), xxhash.xxh3_128_hexdigest(content))
    parts = b"".join(content[offset : offset + length] for offset, length in areas)
    assert hasher.hexdigest() == xxhash.xxh3_128_hexdigest(parts)


def test_files_of_more_than_one_piece(tmp_path):
    content = bytes(range(256)) * 5000
    (tmp_path / "file").write_bytes(content)
    record, hasher = digest_areas(tmp_path / "file", [(100, 1_000_000)])
    assert record.digest == xxhash.xxh3_128_hexdigest(content)
    assert hasher.hexdigest() == xxhash.xxh3_128_hexdigest(content[100:1_000_100])


def test_an_area_past_the_end_is_an_error(tmp_path):
    (tmp_path / "file").write_bytes(b"short")
    before = set(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else set()
    with pytest.raises(OSError):
        digest_areas(tmp_path / "file", [(0, 10)])
    assert not before or set(os.listdir("/proc/self/fd")) <= before
