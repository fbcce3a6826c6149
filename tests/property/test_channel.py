"""Whatever is altered, moved or renamed is refused, and every purpose has a key of its own."""

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from veilsum.channel import Directory, Identity, KeyPair, derive_key, seal, seal_for, unseal
from veilsum.errors import AuthenticationError, VeilsumError

short = st.binary(max_size=40)
keys32 = st.binary(min_size=32, max_size=32)
contexts = st.fixed_dictionaries(
    {
        "purpose": st.text(max_size=12),
        "session_id": keys32,
        "round_number": st.integers(0, 2**64 - 1),
    }
)
BOB = Identity(signing_key=bytes(range(32)), sealing_key=bytes(range(32, 64)))


def flipped(data, place, bit):
    altered = bytearray(data)
    altered[place % len(data)] ^= 1 << bit
    return bytes(altered)


@given(key=keys32, plaintext=short, header=short)
def test_what_is_sealed_is_opened(key, plaintext, header):
    sealed = seal(key, plaintext, header=header)
    assert len(sealed) == len(plaintext) + 16
    assert unseal(key, sealed, header=header) == plaintext


@given(
    key=keys32,
    plaintext=short,
    header=short,
    what=st.sampled_from(["sealed", "key", "header"]),
    place=st.integers(0, 500),
    bit=st.integers(0, 7),
)
def test_one_flipped_bit_of_bytes_key_or_header_is_refused(
    key, plaintext, header, what, place, bit
):
    given_ = {"sealed": seal(key, plaintext, header=header), "key": key, "header": header}
    assume(given_[what])
    given_[what] = flipped(given_[what], place, bit)
    with pytest.raises(AuthenticationError):
        unseal(given_["key"], given_["sealed"], header=given_["header"])


@given(key=keys32, plaintext=short, other=st.binary(max_size=70))
def test_other_bytes_do_not_open(key, plaintext, other):
    assume(other != seal(key, plaintext, header=b""))
    with pytest.raises(AuthenticationError):
        unseal(key, other, header=b"")


@given(plaintext=short, header=short, where=contexts)
@settings(deadline=None)
def test_what_is_sealed_for_an_identity_is_opened_by_it(plaintext, header, where):
    sealed = seal_for(BOB.public, plaintext, header=header, **where)
    assert BOB.unseal(sealed, header=header, **where) == plaintext


@given(
    plaintext=short, header=short, where=contexts, place=st.integers(0, 500), bit=st.integers(0, 7)
)
@example(
    plaintext=b"",
    header=b"",
    where={"purpose": "", "session_id": bytes(32), "round_number": 0},
    place=31,
    bit=7,
)  # X25519 ignores this bit of the sender's key
@settings(deadline=None)
def test_one_flipped_bit_of_what_is_sealed_for_an_identity_is_refused(
    plaintext, header, where, place, bit
):
    sealed = flipped(seal_for(BOB.public, plaintext, header=header, **where), place, bit)
    with pytest.raises(VeilsumError):
        BOB.unseal(sealed, header=header, **where)


@given(plaintext=short, header=short, where=contexts, elsewhere=contexts, other=short)
@settings(deadline=None)
def test_sealed_bytes_open_for_their_purpose_session_round_and_header_alone(
    plaintext, header, where, elsewhere, other
):
    sealed = seal_for(BOB.public, plaintext, header=header, **where)
    for name, value in elsewhere.items():
        if where[name] != value:
            with pytest.raises(AuthenticationError):
                BOB.unseal(sealed, header=header, **(where | {name: value}))
    if other != header:
        with pytest.raises(AuthenticationError):
            BOB.unseal(sealed, header=other, **where)


@given(secrets=st.tuples(keys32, keys32), wheres=st.tuples(contexts, contexts), data=st.data())
def test_derived_keys_are_equal_only_where_all_that_they_serve_is(secrets, wheres, data):
    same = data.draw(st.sampled_from(["nothing", *wheres[0], "secret", "keys"]))
    lists = data.draw(st.tuples(*[st.lists(short, max_size=3)] * 2))
    first = {"secret": secrets[0], "keys": lists[0], **wheres[0]}
    changed = {"secret": secrets[1], "keys": lists[1], **wheres[1]}
    second = first if same == "nothing" else first | {same: changed[same]}
    derived = [
        derive_key(one["secret"], **{k: v for k, v in one.items() if k != "secret"})
        for one in (first, second)
    ]
    assert (derived[0] == derived[1]) == (first == second)


@given(private=st.tuples(keys32, keys32))
def test_both_ends_agree_on_one_secret(private):
    ours, theirs = map(KeyPair, private)
    assert ours.agree(theirs.public) == theirs.agree(ours.public)
    assert KeyPair(ours.private_bytes()).public == ours.public


@given(data=short, place=st.integers(0, 500), bit=st.integers(0, 7), other=short)
def test_a_signature_is_of_these_bytes_by_this_signer_alone(data, place, bit, other):
    signature = BOB.sign(data)
    BOB.public.verify(signature, data)
    with pytest.raises(AuthenticationError):
        BOB.public.verify(flipped(signature, place, bit), data)
    if other != data:
        with pytest.raises(AuthenticationError):
            BOB.public.verify(signature, other)


@given(signing=keys32, sealing=keys32)
def test_any_identity_survives_the_wire(signing, sealing):
    one = Identity(signing_key=signing, sealing_key=sealing)
    again = Identity.from_bytes(one.to_bytes())
    assert again.public == one.public
    assert again.to_bytes() == one.to_bytes()


@given(names=st.sets(st.text(max_size=16), max_size=6))
def test_any_directory_survives_the_wire_with_its_fingerprint(names):
    known = Directory({name: Identity.generate().public for name in names})
    again = Directory.from_bytes(known.to_bytes())
    assert again == known
    assert again.fingerprint == known.fingerprint
    assert again.to_bytes() == known.to_bytes()
