import FoundationEssentials

/// Test vectors of RFC 9180, appendix A.2: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20Poly1305.
struct Vector {
    static let info = Data("Ode on a Grecian Urn".utf8)
    static let plaintext = Data("Beauty is truth, truth beauty".utf8)

    let encapsulated: Data
    let recipientKey: Data
    /// Sequence numbers 0 to 2, each over `Count-N`.
    let ciphertexts: [Data]
    /// 32 bytes for the context `TestContext`.
    let exported: Data

    /// A.2.3, mode 2.
    static let authenticated = Vector(
        encapsulated: bytes("f7674cc8cd7baa5872d1f33dbaffe3314239f6197ddf5ded1746760bfc847e0e"),
        recipientKey: bytes("3ca22a6d1cda1bb9480949ec5329d3bf0b080ca4c45879c95eddb55c70b80b82"),
        ciphertexts: [
            bytes("ab1a13c9d4f01a87ec3440dbd756e2677bd2ecf9df0ce7ed73869b98e00c09be111cb9fdf077347aeb88e61bdf"),
            bytes("3265c7807ffff7fdace21659a2c6ccffee52a26d270c76468ed74202a65478bfaedfff9c2b7634e24f10b71016"),
            bytes("3aadee86ad2a05081ea860033a9d09dbccb4acac2ded0891da40f51d4df19925f7a767b076a5cbc9355c8fd35e"),
        ],
        exported: bytes("1df39dc5dd60edcbf5f9ae804e15ada66e885b28ed7929116f768369a3f950ee"))

    /// A.2.4, mode 3.
    static let preSharedAuthenticated = Vector(
        encapsulated: bytes("656a2e00dc9990fd189e6e473459392df556e9a2758754a09db3f51179a3fc02"),
        recipientKey: bytes("7b36a42822e75bf3362dfabbe474b3016236408becb83b859a6909e22803cb0c"),
        ciphertexts: [
            bytes("9aa52e29274fc6172e38a4461361d2342585d3aeec67fb3b721ecd63f059577c7fe886be0ede01456ebc67d597"),
            bytes("59460bacdbe7a920ef2806a74937d5a691d6d5062d7daafcad7db7e4d8c649adffe575c1889c5c2e3a49af8e3e"),
            bytes("5688ff6a03ba26ae936044a5c800f286fb5d1eccdd2a0f268f6ff9773b51169318d1a1466bb36263415071db00"),
        ],
        exported: bytes("d3bae066aa8da27d527d85c040f7dd6ccb60221c902ee36a82f70bcd62a60ee4"))
}

/// The points of Curve25519 whose order divides 8, with their spellings beyond the prime: 0, 1, two of order 8, p - 1,
/// p and p + 1.
let lowOrderPoints = [
    bytes("0000000000000000000000000000000000000000000000000000000000000000"),
    bytes("0100000000000000000000000000000000000000000000000000000000000000"),
    bytes("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    bytes("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    bytes("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    bytes("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
]
