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

    /// A.2.2, mode 1.
    static let preShared = Vector(
        encapsulated: bytes("2261299c3f40a9afc133b969a97f05e95be2c514e54f3de26cbe5644ac735b04"),
        recipientKey: bytes("77d114e0212be51cb1d76fa99dd41cfd4d0166b08caa09074430a6c59ef17879"),
        ciphertexts: [
            bytes("4a177f9c0d6f15cfdf533fb65bf84aecdc6ab16b8b85b4cf65a370e07fc1d78d28fb073214525276f4a89608ff"),
            bytes("5c3cabae2f0b3e124d8d864c116fd8f20f3f56fda988c3573b40b09997fd6c769e77c8eda6cda4f947f5b704a8"),
            bytes("14958900b44bdae9cbe5a528bf933c5c990dbb8e282e6e495adf8205d19da9eb270e3a6f1e0613ab7e757962a4"),
        ],
        exported: bytes("ad40e3ae14f21c99bfdebc20ae14ab86f4ca2dc9a4799d200f43a25f99fa78ae"))

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
