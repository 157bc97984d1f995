"""What of the object store is pure: versions page by page, and a sample that is the same on both sides."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from services.minio.fingerprint import SAMPLED, SAMPLED_BYTES, _encryption_key, choose_sample, list_versions
from tests.fakes.http_product import target

PAGES: list[dict[str, Any]] = [  # as SeaweedFS 4.48 answered, in two pages
    {
        "IsTruncated": True,
        "NextKeyMarker": "x/y",
        "NextVersionIdMarker": "671494e8925cb435fa7235e4053a49c2",
        "Versions": [
            {
                "Key": "shop",
                "VersionId": "671494e8831760cf50b4d7a2b57946da",
                "ETag": '"c4ca4238a0b923820dcc509a6f75849b"',
                "Size": 1,
            },
            {
                "Key": "x/y",
                "VersionId": "671494e8925cb435fa7235e4053a49c2",
                "ETag": '"6654c734ccab8f440ff0825eb443dc7f"',
                "Size": 2,
            },
        ],
    },
    {
        "IsTruncated": False,
        "Versions": [{"Key": "plain", "VersionId": "null", "ETag": '"9abcde3c584628a02620bf796dee1204"', "Size": 2}],
        "DeleteMarkers": [{"Key": "x/y", "VersionId": "671494e891aa92c0d8505a37aba7c507", "IsLatest": True}],
    },
]


class Listing:
    """An S3 client that answers page after page, and notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def list_object_versions(self, **given: Any) -> dict[str, Any]:
        """Return the next page."""
        self.asked.append(given)
        return PAGES[len(self.asked) - 1]


def test_versions_and_markers_are_listed_to_the_last_page() -> None:
    """Each version has its name; a delete marker is one too; one without a number is called by its key."""
    listing = Listing()
    found = dict(list_versions(listing, "papers"))
    assert list(found) == [
        "shop @671494e8831760cf50b4d7a2b57946da",
        "x/y @671494e8925cb435fa7235e4053a49c2",
        "plain",
        "x/y @671494e891aa92c0d8505a37aba7c507",
    ]
    assert found["x/y @671494e891aa92c0d8505a37aba7c507"]["etag"] == "deleted"
    assert listing.asked[1]["KeyMarker"] == "x/y"
    assert listing.asked[1]["VersionIdMarker"] == "671494e8925cb435fa7235e4053a49c2"


def _versions(count: int, size: int) -> dict[str, dict[str, Any]]:
    return {
        f"object-{number}": {"key": f"object-{number}", "version": None, "etag": "e", "size": size}
        for number in range(count)
    }


def test_a_sample_is_the_same_whatever_the_order() -> None:
    """It is chosen by the names alone, so that both sides read the same objects."""
    versions = _versions(1000, 10)
    shuffled = list(versions.items())
    random.Random(7).shuffle(shuffled)
    assert choose_sample(versions) == choose_sample(dict(shuffled))
    assert len(choose_sample(versions)) == SAMPLED


def test_a_sample_has_a_limit_of_bytes_and_no_markers() -> None:
    """Large objects are left out before small ones are; a delete marker has no bytes."""
    versions = {**_versions(5, SAMPLED_BYTES // 2), "small": {"key": "small", "version": None, "etag": "e", "size": 1}}
    versions["gone"] = {"key": "gone", "version": "1", "etag": "deleted", "size": None}
    chosen = choose_sample(versions)
    assert "gone" not in chosen
    assert sum(versions[name]["size"] for name in chosen) <= SAMPLED_BYTES
    assert len(chosen) in {2, 3}


def test_another_encryption_key_is_another_store() -> None:
    """Objects that were encrypted with it can't be read with another; the key itself is not shown."""
    at = target("minio")
    one, other = (
        _encryption_key(replace(at, container=replace(at.container, env={"MINIO_KMS_SECRET_KEY": f"k:{key}"})))
        for key in ("a", "b")
    )

    assert one != other != _encryption_key(at)
    assert "k:a" not in repr(one)
