"""Identities, directories, agreed keys and sealed bytes, against published vectors."""

import copy
import hashlib
import hmac
import pickle

import pytest

from veilsum import channel
from veilsum.channel import (
    KEY_BYTES,
    SIGNATURE_BYTES,
    Directory,
    Identity,
    KeyPair,
    PublicIdentity,
    derive_key,
    seal,
    seal_for,
    unseal,
)
from veilsum.errors import AuthenticationError, DeserializationError, InvalidKey
from veilsum.wire import Kind, Writer

P25519 = 2**255 - 19
# The points whose order divides 8, and second encodings of them: Langley, Hamburg and Turner,
# RFC 7748, section 6.1, and Bernstein's list at cr.yp.to/ecdh.html.
SMALL_ORDER = [
    number.to_bytes(32, "little")
    for number in (
        0,
        1,
        325606250916557431795983626356110631294008115727848805560023387167927233504,
        39382357235489614581723060781553021112529911719440698176882885853963445705823,
        P25519 - 1,
        P25519,
        P25519 + 1,
    )
]
WHERE = {"purpose": "test", "session_id": bytes(32), "round_number": 3}


# ---- Key agreement


def test_x25519_gives_the_secrets_of_rfc_7748_section_6_1():
    alice = KeyPair(
        bytes.fromhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")
    )
    bob = KeyPair(bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"))
    assert alice.public.hex() == "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"
    assert bob.public.hex() == "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"
    secret = bytes.fromhex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742")
    assert alice.agree(bob.public) == bob.agree(alice.public) == secret


def test_fresh_keys_differ_and_are_found_again_from_their_bytes():
    first, second = KeyPair.generate(), KeyPair.generate()
    assert first.public != second.public
    again = KeyPair(first.private_bytes())
    assert again.public == first.public
    assert again.private_bytes() == first.private_bytes()
    assert again.agree(second.public) == second.agree(first.public)


@pytest.mark.parametrize("high_bit", [0, 0x80])
@pytest.mark.parametrize("point", SMALL_ORDER, ids=bytes.hex)
def test_points_with_which_every_secret_is_zero_are_refused(point, high_bit):
    public = point[:31] + bytes([point[31] | high_bit])
    with pytest.raises(InvalidKey, match="the agreed secret is zero"):
        KeyPair.generate().agree(public)
    with pytest.raises(InvalidKey, match="the agreed secret is zero"):
        seal_for(
            PublicIdentity(Identity.generate().public.verify_key, public), b"", header=b"", **WHERE
        )
    with pytest.raises(InvalidKey, match="the agreed secret is zero"):
        Identity.generate().unseal(public + bytes(16), header=b"", **WHERE)


@pytest.mark.parametrize("count", [0, 31, 33])
def test_keys_of_another_length_are_refused(count):
    good = bytes(range(KEY_BYTES))
    for make, name in [
        (lambda: KeyPair(bytes(count)), "private"),
        (lambda: KeyPair.generate().agree(bytes(count)), "public"),
        (lambda: Identity(signing_key=bytes(count), sealing_key=good), "signing_key"),
        (lambda: Identity(signing_key=good, sealing_key=bytes(count)), "private"),
        (lambda: PublicIdentity(bytes(count), good), "verify_key"),
        (lambda: PublicIdentity(good, bytes(count)), "seal_key"),
        (lambda: seal(bytes(count), b"", header=b""), "key"),
        (lambda: unseal(bytes(count), bytes(16), header=b""), "key"),
    ]:
        with pytest.raises(InvalidKey, match=f"{name}: got {count} bytes, expected 32"):
            make()


@pytest.mark.parametrize("count", [16, 24])
def test_a_key_of_a_weaker_cipher_is_refused(count):
    with pytest.raises(InvalidKey, match=f"key: got {count} bytes"):
        seal(bytes(count), b"secret", header=b"")


@pytest.mark.parametrize("value", [None, "0" * 32, bytearray(32), 32], ids=repr)
def test_keys_of_another_type_are_refused(value):
    good = bytes(range(KEY_BYTES))
    for make in (
        lambda: KeyPair(value),
        lambda: KeyPair.generate().agree(value),
        lambda: Identity(signing_key=value, sealing_key=good),
        lambda: Identity(signing_key=good, sealing_key=value),
        lambda: PublicIdentity(value, good),
        lambda: PublicIdentity(good, value),
        lambda: seal(value, b"", header=b""),
        lambda: unseal(value, bytes(16), header=b""),
    ):
        with pytest.raises(TypeError, match=f": got {type(value).__name__}, expected bytes"):
            make()


# ---- Derived keys


def hkdf_sha256(secret, info):
    """RFC 5869 with an empty salt and one block of output, by `hmac` alone."""
    extracted = hmac.digest(bytes(32), secret, "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")


def prefixed(*parts):
    return b"".join(len(part).to_bytes(8, "little") + part for part in parts)


@pytest.mark.parametrize("keys", [[], [b"k" * 32], [b"a" * 32, b"b" * 32]], ids=len)
def test_a_derived_key_is_hkdf_sha256_over_all_that_it_serves(keys):
    secret, session_id = bytes(range(32)), bytes(range(32, 64))
    info = prefixed(
        b"veilsum/v1",
        "mäsk".encode(),
        b"X25519+HKDF-SHA256+AES-256-GCM",
        session_id,
        (7).to_bytes(8, "little"),
        *keys,
    )
    derived = derive_key(secret, purpose="mäsk", session_id=session_id, round_number=7, keys=keys)
    assert derived == hkdf_sha256(secret, info)


def test_the_independent_hkdf_gives_the_answer_of_rfc_5869_appendix_a_3():
    answer = bytes.fromhex("8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d")
    assert hkdf_sha256(b"\x0b" * 22, b"") == answer


@pytest.mark.parametrize("number", [-1, 2**64])
def test_a_round_that_is_none_has_no_key(number):
    with pytest.raises(ValueError, match=f"round_number: got {number}, expected 0 to"):
        derive_key(bytes(32), purpose="x", session_id=b"", round_number=number, keys=[])


def test_keys_of_the_last_round_are_derived_too():
    last = derive_key(bytes(32), purpose="x", session_id=b"", round_number=2**64 - 1, keys=[])
    assert last != derive_key(bytes(32), purpose="x", session_id=b"", round_number=0, keys=[])


# ---- Sealing


@pytest.mark.parametrize(
    ("plaintext", "sealed"),
    [
        ("", "530f8afbc74536b9a963b4f1c4cb738b"),
        ("00" * 16, "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"),
    ],
    ids=["test case 13", "test case 14"],
)
def test_sealing_is_aes_256_gcm_of_mcgrew_and_viega(plaintext, sealed):
    assert seal(bytes(32), bytes.fromhex(plaintext), header=b"").hex() == sealed
    assert unseal(bytes(32), bytes.fromhex(sealed), header=b"").hex() == plaintext


def test_what_is_no_seal_of_this_key_and_header_does_not_open():
    key, other = bytes(32), bytes(31) + b"\1"
    sealed = seal(key, b"secret", header=b"to 3")
    assert len(sealed) == len(b"secret") + 16
    for wrong in (
        lambda: unseal(other, sealed, header=b"to 3"),
        lambda: unseal(key, sealed, header=b"to 4"),
        lambda: unseal(key, sealed, header=b""),
        lambda: unseal(key, sealed[:-1], header=b"to 3"),
        lambda: unseal(key, sealed + b"\0", header=b"to 3"),
        lambda: unseal(key, sealed[:15], header=b"to 3"),
        lambda: unseal(key, b"", header=b"to 3"),
    ):
        with pytest.raises(AuthenticationError, match="the bytes were altered, or sealed for ano"):
            wrong()


def test_sealed_for_an_identity_only_that_identity_opens():
    bob, eve = Identity.generate(), Identity.generate()
    sealed = seal_for(bob.public, b"secret", header=b"h", **WHERE)
    assert len(sealed) == len(b"secret") + 48
    assert bob.unseal(sealed, header=b"h", **WHERE) == b"secret"
    with pytest.raises(AuthenticationError):
        eve.unseal(sealed, header=b"h", **WHERE)


def test_each_sealing_for_an_identity_has_a_key_of_its_own():
    bob = Identity.generate()
    first, second = (seal_for(bob.public, b"secret", header=b"", **WHERE) for _ in range(2))
    assert first[:KEY_BYTES] != second[:KEY_BYTES]
    assert first[KEY_BYTES:] != second[KEY_BYTES:]
    with pytest.raises(AuthenticationError):
        bob.unseal(first[:KEY_BYTES] + second[KEY_BYTES:], header=b"", **WHERE)


@pytest.mark.parametrize("count", [0, 1, 31])
def test_too_few_bytes_to_be_sealed_are_told(count):
    with pytest.raises(AuthenticationError, match=f"sealed: got {count} bytes, too few"):
        Identity.generate().unseal(bytes(count), header=b"", **WHERE)


def test_a_second_encoding_of_the_senders_key_is_another_key():
    bob = Identity.generate()
    sealed = seal_for(bob.public, b"secret", header=b"", **WHERE)
    ignored_bit = sealed[:31] + bytes([sealed[31] ^ 0x80]) + sealed[32:]
    with pytest.raises(AuthenticationError):
        bob.unseal(ignored_bit, header=b"", **WHERE)


def test_a_seal_of_two_parties_does_not_open_as_one_for_an_identity():
    """The same secret, purpose and keys: the two ways to seal have purposes of their own."""
    bob, fresh = Identity.generate(), KeyPair.generate()
    key = derive_key(
        fresh.agree(bob.public.seal_key), keys=[fresh.public, bob.public.seal_key], **WHERE
    )
    with pytest.raises(AuthenticationError):
        bob.unseal(fresh.public + seal(key, b"", header=b""), header=b"", **WHERE)


# ---- Signatures


@pytest.mark.parametrize(
    ("private", "public", "message", "signature"),
    [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39"
            "701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f36"
            "13d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f7"
            "60984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ),
    ],
    ids=["test 1", "test 2", "test 3"],
)
def test_ed25519_gives_the_signatures_of_rfc_8032_section_7_1(private, public, message, signature):
    signer = Identity(signing_key=bytes.fromhex(private), sealing_key=bytes(32))
    data = bytes.fromhex(message)
    assert signer.public.verify_key.hex() == public
    assert signer.sign(data).hex() == signature
    signer.public.verify(bytes.fromhex(signature), data)


def test_what_is_not_the_signers_signature_is_refused():
    alice, eve = Identity.generate(), Identity.generate()
    signature = alice.sign(b"hello")
    assert len(signature) == SIGNATURE_BYTES
    order = 2**252 + 27742317777372353535851937790883648493
    shifted = int.from_bytes(signature[32:], "little") + order
    for forged, data in [
        (signature, b"hello!"),
        (signature, b""),
        (eve.sign(b"hello"), b"hello"),
        (signature[:-1], b"hello"),
        (signature + b"\0", b"hello"),
        (b"", b"hello"),
        (bytes(64), b"hello"),
        (signature[32:] + signature[:32], b"hello"),
        (signature[:32] + shifted.to_bytes(32, "little"), b"hello"),  # a second form of it
    ]:
        with pytest.raises(AuthenticationError, match="it is not the named signer's"):
            alice.public.verify(forged, data)


def test_a_verify_key_that_is_no_point_verifies_nothing():
    nobody = PublicIdentity(b"\xff" * 32, bytes([9]) + bytes(31))
    with pytest.raises(AuthenticationError):
        nobody.verify(bytes(64), b"")


# ---- Secrets stay where they are


@pytest.mark.parametrize("kind", [Identity, KeyPair])
def test_secrets_are_not_shown_pickled_or_copied(kind):
    secret = kind.generate()
    keys = (
        [secret.private_bytes()]
        if kind is KeyPair
        else [secret._signer.private_bytes_raw(), secret._sealing.private_bytes()]
    )
    for shown in (repr(secret), str(secret), f"{secret}"):
        assert not any(key.hex() in shown or repr(key)[2:-1] in shown for key in keys)
    for steal in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="is secret and is not pickled; see"):
            steal(secret)


def test_errors_about_secrets_do_not_repeat_them():
    secret = b"a secret that nobody may ever read"
    for refuse in (
        lambda: KeyPair(secret),
        lambda: Identity(signing_key=secret, sealing_key=bytes(32)),
        lambda: Identity(signing_key=bytes(32), sealing_key=secret),
        lambda: seal(secret, b"", header=b""),
        lambda: unseal(bytes(32), secret, header=b""),
    ):
        with pytest.raises((InvalidKey, AuthenticationError)) as caught:
            refuse()
        assert "nobody" not in str(caught.value)
    for refuse in (
        lambda: seal(bytes(32), secret.decode(), header=b""),
        lambda: derive_key(secret.decode(), purpose="", session_id=b"", round_number=0, keys=[]),
    ):
        with pytest.raises(TypeError) as caught:
            refuse()
        assert "nobody" not in str(caught.value)


# ---- Identities on the wire


def test_an_identity_survives_the_wire():
    alice = Identity.generate()
    again = Identity.from_bytes(alice.to_bytes())
    assert again.public == alice.public
    assert again.to_bytes() == alice.to_bytes()
    assert again.sign(b"hello") == alice.sign(b"hello")
    assert again.unseal(seal_for(alice.public, b"x", header=b"", **WHERE), header=b"", **WHERE)


def test_fresh_identities_share_no_key():
    many = [Identity.generate().public for _ in range(20)]
    assert len({key for one in many for key in (one.verify_key, one.seal_key)}) == 40


def test_an_identity_cut_anywhere_or_followed_by_anything_is_refused():
    data = Identity.generate().to_bytes()
    for length in range(len(data)):
        with pytest.raises((DeserializationError, InvalidKey)):
            Identity.from_bytes(data[:length])
    with pytest.raises(DeserializationError):
        Identity.from_bytes(data + b"\0")


@pytest.mark.parametrize(("first", "second"), [(31, 32), (32, 31), (0, 0)])
def test_an_identity_with_a_short_key_is_refused(first, second):
    writer = Writer(Kind.IDENTITY)
    writer.blob(bytes(first))
    writer.blob(bytes(second))
    with pytest.raises(InvalidKey, match="expected 32"):
        Identity.from_bytes(writer.finish())


# ---- Directories


def directory(*names):
    return Directory({name: Identity.generate().public for name in names})


def test_a_directory_is_a_mapping_in_the_order_of_its_names():
    alice, bob = Identity.generate().public, Identity.generate().public
    known = Directory({"bob": bob, "alice": alice})
    assert list(known) == ["alice", "bob"]
    assert (known["alice"], known["bob"], len(known)) == (alice, bob, 2)
    assert known.get("eve") is None
    assert repr(known) == "Directory(alice, bob)"
    with pytest.raises(KeyError):
        known["eve"]


def test_a_directory_does_not_follow_the_mapping_it_was_made_of():
    entries = {"alice": Identity.generate().public}
    known = Directory(entries)
    before = known.fingerprint
    entries["eve"] = Identity.generate().public
    assert list(known) == ["alice"]
    assert known.fingerprint == before
    with pytest.raises(TypeError):
        known["eve"] = entries["eve"]


def test_a_fingerprint_is_sha256_over_all_entries():
    known = directory("alice", "bob")
    parts = [
        part
        for name in ("alice", "bob")
        for part in (name.encode(), known[name].verify_key, known[name].seal_key)
    ]
    expected = hashlib.sha256(prefixed(b"veilsum/directory/v1", *parts)).digest()
    assert known.fingerprint == expected


def test_a_fingerprint_depends_on_every_name_and_key_and_on_no_order():
    alice, bob, eve = (Identity.generate().public for _ in range(3))
    known = Directory({"alice": alice, "bob": bob})
    assert Directory({"bob": bob, "alice": alice}).fingerprint == known.fingerprint
    others = [
        {"alice": alice},
        {"alice": bob, "bob": alice},
        {"alice": alice, "bob": eve},
        {"alice": alice, "bob": PublicIdentity(bob.verify_key, eve.seal_key)},
        {"alice": alice, "bob": PublicIdentity(eve.verify_key, bob.seal_key)},
        {"alice": alice, "rob": bob},
        {"alice": alice, "bob": bob, "eve": eve},
        {},
    ]
    fingerprints = {Directory(entries).fingerprint for entries in others}
    assert len(fingerprints) == len(others)
    assert known.fingerprint not in fingerprints


def test_two_names_may_not_share_a_key():
    alice, bob = Identity.generate().public, Identity.generate().public
    for kind, shared in [
        ("verify_key", PublicIdentity(alice.verify_key, bob.seal_key)),
        ("seal_key", PublicIdentity(bob.verify_key, alice.seal_key)),
        ("verify_key", alice),
    ]:
        with pytest.raises(ValueError, match=f"two names share a {kind}; give each party its own"):
            Directory({"alice": alice, "bob": shared})


@pytest.mark.parametrize("name", ["x" * 65, "é" * 33])
def test_a_name_has_at_most_64_bytes(name):
    public = Identity.generate().public
    assert Directory({name[:32]: public})
    with pytest.raises(ValueError, match="identities: a name may have 64 bytes"):
        Directory({name: public})


@pytest.mark.parametrize(
    "known", [directory(), directory("alice"), directory("", "é" * 32, "b", "a")], ids=len
)
def test_a_directory_survives_the_wire(known):
    again = Directory.from_bytes(known.to_bytes())
    assert again == known
    assert list(again) == list(known)
    assert again.fingerprint == known.fingerprint
    assert again.to_bytes() == known.to_bytes()


def test_a_directory_cut_anywhere_or_followed_by_anything_is_refused():
    data = directory("alice", "bob").to_bytes()
    for length in range(len(data)):
        with pytest.raises((DeserializationError, InvalidKey)):
            Directory.from_bytes(data[:length])
    with pytest.raises(DeserializationError):
        Directory.from_bytes(data + b"\0")


def written(entries, count=None):
    writer = Writer(Kind.DIRECTORY)
    writer.u64(len(entries) if count is None else count)
    for name, verify_key, seal_key in entries:
        writer.text(name)
        writer.blob(verify_key)
        writer.blob(seal_key)
    return writer.finish()


A, B, C, D = (bytes([letter]) * 32 for letter in b"abcd")


@pytest.mark.parametrize(
    ("entries", "count", "error", "match"),
    [
        ([("b", A, B), ("a", C, D)], None, DeserializationError, "not ascending without rep"),
        ([("a", A, B), ("a", C, D)], None, DeserializationError, "not ascending without rep"),
        ([("a", A, B), ("b", A, D)], None, DeserializationError, "two names share a verify_key"),
        ([("a", A, B), ("b", C, B)], None, DeserializationError, "two names share a seal_key"),
        ([("x" * 65, A, B)], None, DeserializationError, "blob length: got 65"),
        ([("a", A[1:], B)], None, InvalidKey, "verify_key: got 31 bytes"),
        ([("a", A, b"")], None, InvalidKey, "seal_key: got 0 bytes"),
        ([("a", A, B + b"b")], None, DeserializationError, "blob length: got 33"),
        ([], 1, DeserializationError, "a field needs"),
        ([], 2**24, DeserializationError, "a field needs"),
        ([], 2**24 + 1, DeserializationError, "u64: got 16777217"),
        ([("a", A, B)], 0, DeserializationError, "after its last field"),
    ],
)
def test_bytes_of_no_possible_directory_are_refused(entries, count, error, match):
    with pytest.raises(error, match=match):
        Directory.from_bytes(written(entries, count))


def test_an_identity_in_a_directory_verifies_its_party():
    alice = Identity.generate()
    again = Directory.from_bytes(Directory({"alice": alice.public}).to_bytes())
    again["alice"].verify(alice.sign(b"hello"), b"hello")
    with pytest.raises(AuthenticationError):
        again["alice"].verify(alice.sign(b"hello"), b"goodbye")


P25519 = 2**255 - 19
D25519 = -121665 * pow(121666, -1, P25519) % P25519


def doubled(point):
    """The textbook addition of a point of edwards25519 to itself."""
    x, y = point
    product = D25519 * x * x * y * y % P25519
    return (
        2 * x * y * pow(1 + product, -1, P25519) % P25519,
        (y * y + x * x) * pow(1 - product, -1, P25519) % P25519,
    )


def point_of(encoding):
    y = int.from_bytes(encoding, "little") % P25519
    square = (y * y - 1) * pow(D25519 * y * y + 1, -1, P25519) % P25519
    x = pow(square, (P25519 + 3) // 8, P25519)
    if (x * x - square) % P25519:
        x = x * pow(2, (P25519 - 1) // 4, P25519) % P25519
    assert (x * x - square) % P25519 == 0
    return x, y


@pytest.mark.parametrize("encoding", sorted(channel._SMALL_ORDER), ids=bytes.hex)
@pytest.mark.parametrize("sign", [0, 0x80])
def test_a_verify_key_of_small_order_is_refused(encoding, sign):
    assert doubled(doubled(doubled(point_of(encoding)))) == (0, 1)
    key = encoding[:-1] + bytes([encoding[-1] | sign])
    with pytest.raises(InvalidKey, match="verify_key: anybody can sign for it"):
        PublicIdentity(key, Identity.generate().public.seal_key)


def test_a_seal_key_that_gives_no_secret_is_refused():
    with pytest.raises(InvalidKey, match="the agreed secret is zero"):
        PublicIdentity(Identity.generate().public.verify_key, bytes(32))


def test_a_secret_identity_is_no_entry_of_a_directory():
    with pytest.raises(TypeError, match="'alice' is Identity, expected a PublicIdentity"):
        Directory({"alice": Identity.generate()})
