"""What every object store does. An implementation's tests inherit the class and hand in the fixture `objects`."""

from __future__ import annotations

import hashlib
import threading

import pytest

from fanfold.errors import InputError, ResultDamaged
from fanfold.stores.protocols import ObjectStore

KEY = f"results/{'a' * 64}/result"
#: The key of an object that is named after these bytes.
NAMED_BYTES = b"the bytes that the name says"
NAMED_KEY = f"blobs/{hashlib.sha256(NAMED_BYTES).hexdigest()}"


class ObjectStoreContract:
    """Bytes come back as they were put, under keys that cannot lead astray."""

    @pytest.fixture
    def objects(self) -> ObjectStore:
        raise NotImplementedError

    @pytest.mark.parametrize("data", [b"", b"x", bytes(range(256)) * 5000], ids=["empty", "one byte", "1.3 MB"])
    def test_bytes_come_back_as_they_were_put(self, objects, data):
        objects.put(KEY, data)
        assert objects.get(KEY) == data

    def test_putting_again_replaces(self, objects):
        objects.put(KEY, b"old")
        objects.put(KEY, b"new")
        assert objects.get(KEY) == b"new"

    def test_a_file_is_taken_in_and_taken_away(self, objects, tmp_path):
        path = tmp_path / "result"
        path.write_bytes(b"large" * 1000)
        objects.put(KEY, b"old")
        objects.put_file(KEY, path)
        assert objects.get(KEY) == b"large" * 1000
        assert not path.exists()

    def test_put_if_absent_keeps_the_first(self, objects):
        assert objects.put_if_absent(KEY, b"first") is True
        assert objects.put_if_absent(KEY, b"second") is False
        assert objects.get(KEY) == b"first"

    def test_pieces_are_kept_under_the_hash_of_the_whole(self, objects):
        pieces = (b"head", memoryview(bytearray(b"1234" * 100_000)))
        for _ in range(2):
            sha256 = objects.put_by_hash("blobs/{}".format, pieces)
            assert sha256 == hashlib.sha256(b"".join(pieces)).hexdigest()
            assert objects.get(f"blobs/{sha256}") == b"".join(pieces)
        pieces[1][-1] = 0  # the caller's memory, and now other bytes of the same length
        changed = objects.put_by_hash("blobs/{}".format, pieces)
        assert changed != sha256
        assert objects.get(f"blobs/{changed}") == b"".join(pieces)

    def test_a_result_is_referred_to_without_a_second_copy_of_its_bytes(self, objects):
        data = b"a result"
        key = f"results/{'b' * 64}/{hashlib.sha256(data).hexdigest()}"
        objects.put(key, data)
        names = {objects.refer(key) for _ in range(2)}
        assert len(names) == 1
        assert objects.get(names.pop()) == data

    def test_an_object_that_is_not_what_its_name_says_is_not_read(self, objects):
        objects.put(NAMED_KEY, NAMED_BYTES)
        assert objects.get(NAMED_KEY) == NAMED_BYTES
        objects.put(NAMED_KEY, NAMED_BYTES[:-1] + b"!")
        with pytest.raises(ResultDamaged, match="is damaged: its bytes do not match their hash"):
            objects.get(NAMED_KEY)
        with pytest.raises(ResultDamaged, match="is damaged: its bytes do not match their hash"):
            objects.get_writable(NAMED_KEY)

    def test_of_many_who_put_if_absent_at_once_exactly_one_does(self, objects):
        start, kept = threading.Barrier(6), []

        def race(data: bytes) -> None:
            start.wait()
            if objects.put_if_absent(KEY, data):
                kept.append(data)

        racers = [threading.Thread(target=race, args=(b"%d" % n * 1000,)) for n in range(6)]
        for racer in racers:
            racer.start()
        for racer in racers:
            racer.join()
        assert kept == [objects.get(KEY)]

    def test_a_range_is_read_alone(self, objects):
        objects.put(KEY, b"0123456789")
        assert objects.get_range(KEY, 2, 5) == b"234"
        assert objects.get_range(KEY, 8, 100) == b"89"
        assert objects.get_range(KEY, 4, 4) == b""

    @pytest.mark.parametrize("size", [0, 1000, 5 << 20])
    def test_bytes_may_be_read_into_memory_of_ones_own(self, objects, size):
        objects.put(KEY, b"x" * size)
        own = objects.get_writable(KEY)
        assert bytes(own) == b"x" * size
        if size:
            own[:3] = b"new"
            assert own[:4] == b"newx"
        assert objects.get(KEY) == b"x" * size

    def test_several_are_read_at_once_and_none_keeps_the_others(self, objects):
        damaged = f"udf/{hashlib.sha256(b'right').hexdigest()}"
        for key, data in {"jobs/a": b"1", "jobs/b": b"", damaged: b"wrong"}.items():
            objects.put(key, data)
        assert objects.get_several(["jobs/b", "jobs/none", damaged, "jobs/a"]) == [b"", None, None, b"1"]
        assert objects.get_several([]) == []

    def test_what_is_not_there_is_an_error_that_names_the_key(self, objects):
        with pytest.raises(ResultDamaged, match=KEY):
            objects.get(KEY)
        with pytest.raises(ResultDamaged, match=KEY):
            objects.get_writable(KEY)
        with pytest.raises(ResultDamaged, match=KEY):
            objects.get_range(KEY, 0, 1)

    def test_exists_tells_an_object_from_none(self, objects):
        assert not objects.exists(KEY)
        objects.put(KEY, b"")
        assert objects.exists(KEY)
        assert not objects.exists("results")

    def test_deleting_passes_over_what_is_not_there(self, objects):
        objects.put(KEY, b"x")
        objects.put("udf/other", b"y")
        objects.delete([KEY, "udf/never"])
        assert not objects.exists(KEY)
        assert objects.get("udf/other") == b"y"

    def test_an_object_can_come_back_after_it_was_deleted(self, objects):
        objects.put(KEY, b"x")
        objects.delete([KEY])
        objects.put(KEY, b"y")
        assert objects.get(KEY) == b"y"

    @pytest.mark.parametrize(
        "key",
        ["", "/etc/passwd", "../up", "a/../../b", "a/..", "..", ".", "a//b", "a/", "a b", "ä", "a\\b", "a\0", "a\n"],
    )
    def test_what_is_not_a_key_is_refused(self, objects, key):
        for use in (objects.get, objects.exists, lambda bad: objects.put(bad, b""), lambda bad: objects.delete([bad])):
            with pytest.raises(InputError, match="not an object key"):
                use(key)

    @pytest.mark.parametrize(
        "key", ["a", "a.b-c_d/E9", "..a/b..", "...", "jobs/20260131-141502-river-7f3a/inputs.jsonl"]
    )
    def test_every_key_of_harmless_characters_is_taken(self, objects, key):
        objects.put(key, b"x")
        assert objects.get(key) == b"x"
