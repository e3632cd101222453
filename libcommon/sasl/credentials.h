// What is stored of a user's password, as one line of text that any table can hold: words
// of the form {SCHEME}value, blanks between them.  (docs/man/saslauth.8)
//
//     {CRYPT}$y$j9T$...                          a hash of crypt(5)
//     {SCRAM-SHA-256}4096,SALT,STOREDKEY,SERVERKEY   base64; also SCRAM-SHA-1
//     {PLAIN}secret, {PLAIN.b64}c2VjcmV0         the password itself: CRAM-MD5 needs it
//
// A hash may stand without {CRYPT}.  Pure but for the hashing, which takes milliseconds on
// purpose: not on the loop.
#pragma once

#include "base/result.h"

#include <optional>
#include <string>
#include <string_view>

namespace bulkhead::sasl
{

inline constexpr std::size_t password_limit = 500; // bytes; libxcrypt takes 511

struct ScramKeys { // RFC 5802, section 3; keys and salt in base64
    unsigned iterations = 0;
    std::string salt;
    std::string stored_key;
    std::string server_key;
};

struct Credentials {
    std::optional<std::string> hash; // of crypt(5)
    std::optional<std::string> plain;
    std::optional<ScramKeys> scram_sha1;
    std::optional<ScramKeys> scram_sha256;

    bool empty() const { return !hash && !plain && !scram_sha1 && !scram_sha256; }
    std::string text() const;
};

// Unknown schemes are passed over; Fault::malformed when a known one is damaged, or no
// word is of use.
Result<Credentials> parse_credentials(std::string_view text);

// Credentials for a new password: hash (method: yescrypt, bcrypt, sha512) and SCRAM keys;
// keep_plain also stores the password itself.  Fault::refused says what is wrong with the password.
Result<Credentials> make_credentials(std::string_view password, std::string_view method, bool keep_plain);

// Keys of a password with this salt (a new one if it is empty).
enum class ScramHash { sha1, sha256 };
Result<ScramKeys> make_scram_keys(ScramHash hash, const std::string& password, std::string salt = {});

// A salt for a user who has none, or is not there: always the same for the same name, as
// long as the process lives.
std::string invented_salt(const std::string& user);

// Compares in a time that does not tell how much was right; without any credentials too,
// it takes as long as with the usual ones.
bool is_password(const Credentials& credentials, std::string_view password);

// Equal, in a time that depends on the lengths only.
bool equal_in_constant_time(std::string_view a, std::string_view b);

} // namespace bulkhead::sasl
