#include "sasl/credentials.h"

#include "base/text.h"
#include "sasl/base64.h"

#include <crypt.h>
#include <gsasl.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>
#include <vector>

#include <fmt/format.h>

namespace bulkhead::sasl
{

namespace
{

constexpr std::size_t text_limit = 4096;
constexpr unsigned iterations_least = 1000;
constexpr unsigned iterations_most = 1'000'000;
constexpr unsigned iterations_made = 4096; // more only slows down phones: the hash guards the file
constexpr std::size_t salt_size = 16;

// What a check without a user costs: as much as one with.
constexpr const char* nobodys_hash =
    "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7";

Result<ScramKeys> parse_scram(std::string_view value)
{
    const std::vector<std::string_view> parts = split(value, ",");
    const auto iterations = parts.empty() ? std::nullopt : parse_unsigned(parts[0]);
    if (parts.size() != 4 || !iterations || *iterations < iterations_least || *iterations > iterations_most)
        return Error{Fault::malformed, "bad SCRAM keys"};
    for (std::size_t i = 1; i < parts.size(); ++i)
        if (!decode_base64(parts[i]))
            return Error{Fault::malformed, "bad base64 in SCRAM keys"};
    return ScramKeys{static_cast<unsigned>(*iterations), std::string(parts[1]), std::string(parts[2]),
                     std::string(parts[3])};
}

// "{CRYPT}x" -> both parts; "$6$x" is a hash.
std::pair<std::string_view, std::string_view> scheme_of(std::string_view word)
{
    const auto end = word.find('}');
    if (word.starts_with('{') && end != word.npos)
        return {word.substr(1, end - 1), word.substr(end + 1)};
    return {word.starts_with('$') ? "CRYPT" : "", word};
}

std::string scram_text(std::string_view scheme, const ScramKeys& keys)
{
    return fmt::format("{{{}}}{},{},{},{}", scheme, keys.iterations, keys.salt, keys.stored_key,
                       keys.server_key);
}

struct Derived {
    std::array<char, GSASL_HASH_MAX_SIZE> salted{};
    std::array<char, GSASL_HASH_MAX_SIZE> client{};
    std::array<char, GSASL_HASH_MAX_SIZE> server{};
    std::array<char, GSASL_HASH_MAX_SIZE> stored{};
};

Result<Derived> derive(ScramHash hash, const std::string& password, unsigned iterations,
                       std::string_view salt)
{
    Derived keys;
    const int status = ::gsasl_scram_secrets_from_password(
        hash == ScramHash::sha256 ? GSASL_HASH_SHA256 : GSASL_HASH_SHA1, password.c_str(), iterations,
        salt.data(), salt.size(), keys.salted.data(), keys.client.data(), keys.server.data(),
        keys.stored.data());
    if (status != GSASL_OK)
        return Error{Fault::refused, fmt::format("SCRAM: {}", ::gsasl_strerror(status))};
    return keys;
}

std::size_t size_of(ScramHash hash)
{
    return hash == ScramHash::sha256 ? GSASL_HASH_SHA256_SIZE : GSASL_HASH_SHA1_SIZE;
}

std::string random_bytes(std::size_t size)
{
    std::string bytes(size, '\0');
    ensure(::gsasl_random(bytes.data(), bytes.size()) == GSASL_OK, "the system gives no random bytes");
    return bytes;
}

// crypt(5); empty: the setting is of no use here.
std::string crypted(const std::string& password, const std::string& setting)
{
    const auto data = std::make_unique<crypt_data>();
    const char* const hash = ::crypt_rn(password.c_str(), setting.c_str(), data.get(), sizeof(crypt_data));
    std::string result = hash == nullptr ? "" : hash;
    ::explicit_bzero(data.get(), sizeof(crypt_data));
    return result.starts_with('*') ? std::string() : result;
}

Result<std::string> make_hash(const std::string& password, std::string_view method)
{
    struct Row {
        std::string_view name;
        const char* prefix;
    };
    constexpr std::array<Row, 3> methods = {{{"yescrypt", "$y$"}, {"bcrypt", "$2b$"}, {"sha512", "$6$"}}};
    const auto row = std::ranges::find(methods, method, &Row::name);
    if (row == methods.end())
        return Error{Fault::refused,
                     fmt::format("unknown method \"{}\": yescrypt, bcrypt or sha512", method)};
    std::array<char, CRYPT_GENSALT_OUTPUT_SIZE> setting{};
    if (::crypt_gensalt_rn(row->prefix, 0, nullptr, 0, setting.data(), static_cast<int>(setting.size())) ==
        nullptr)
        return system_error("crypt_gensalt");
    std::string hash = crypted(password, setting.data());
    if (hash.empty())
        return Error{Fault::broken, fmt::format("crypt cannot do {}", method)};
    return hash;
}

} // namespace

std::string Credentials::text() const
{
    std::string out;
    const auto add = [&](const std::string& word) { out += (out.empty() ? "" : " ") + word; };
    if (hash)
        add("{CRYPT}" + *hash);
    if (scram_sha256)
        add(scram_text("SCRAM-SHA-256", *scram_sha256));
    if (scram_sha1)
        add(scram_text("SCRAM-SHA-1", *scram_sha1));
    if (plain)
        add("{PLAIN.b64}" + encode_base64(*plain));
    return out;
}

Result<Credentials> parse_credentials(std::string_view text)
{
    if (text.size() > text_limit)
        return Error{Fault::limit, "stored credentials are too long"};
    Credentials credentials;
    for (const std::string_view word : split(text, " \t\r\n")) {
        const auto [scheme, value] = scheme_of(word);
        const auto is = [scheme](std::string_view name) { return equals_ignoring_case(scheme, name); };
        if (is("CRYPT")) {
            credentials.hash = value;
        } else if (is("SCRAM-SHA-256")) {
            TRY(credentials.scram_sha256, parse_scram(value));
        } else if (is("SCRAM-SHA-1")) {
            TRY(credentials.scram_sha1, parse_scram(value));
        } else if (is("PLAIN.b64")) {
            credentials.plain = decode_base64(value);
            if (!credentials.plain)
                return Error{Fault::malformed, "bad base64 in stored password"};
        } else if (is("PLAIN")) {
            // A password may have blanks: a plain one is all the rest.
            credentials.plain = text.substr(static_cast<std::size_t>(value.data() - text.data()));
            break;
        }
    }
    if (credentials.empty())
        return Error{Fault::malformed, "no known scheme in stored credentials"};
    return credentials;
}

Result<Credentials> make_credentials(std::string_view password, std::string_view method, bool keep_plain)
{
    if (password.empty())
        return Error{Fault::refused, "the password is empty"};
    if (password.size() > password_limit)
        return Error{Fault::refused, fmt::format("the password is longer than {} bytes", password_limit)};
    if (password.find('\0') != password.npos || !is_valid_utf8(password))
        return Error{Fault::refused, "the password is not valid UTF-8 text"};
    const std::string secret(password);
    Credentials credentials;
    TRY(credentials.hash, make_hash(secret, method));
    TRY(credentials.scram_sha256, make_scram_keys(ScramHash::sha256, secret));
    TRY(credentials.scram_sha1, make_scram_keys(ScramHash::sha1, secret));
    if (keep_plain)
        credentials.plain = secret;
    return credentials;
}

Result<ScramKeys> make_scram_keys(ScramHash hash, const std::string& password, std::string salt)
{
    if (salt.empty())
        salt = random_bytes(salt_size);
    TRY(const Derived keys, derive(hash, password, iterations_made, salt));
    const std::size_t size = size_of(hash);
    return ScramKeys{iterations_made, encode_base64(salt), encode_base64({keys.stored.data(), size}),
                     encode_base64({keys.server.data(), size})};
}

std::string invented_salt(const std::string& user)
{
    static const std::string secret = random_bytes(32);
    const auto mixed = derive(ScramHash::sha256, user, 1, secret);
    return mixed ? std::string(mixed->salted.data(), salt_size) : secret.substr(0, salt_size);
}

bool equal_in_constant_time(std::string_view a, std::string_view b)
{
    if (a.size() != b.size())
        return false;
    unsigned char difference = 0;
    for (std::size_t i = 0; i < a.size(); ++i)
        difference = static_cast<unsigned char>(difference | (a[i] ^ b[i]));
    return difference == 0;
}

bool is_password(const Credentials& credentials, std::string_view password)
{
    if (password.size() > password_limit || password.find('\0') != password.npos)
        return false;
    const std::string secret(password);
    if (credentials.hash) {
        const std::string hash = crypted(secret, *credentials.hash);
        return !hash.empty() && equal_in_constant_time(hash, *credentials.hash);
    }
    if (credentials.plain)
        return equal_in_constant_time(secret, *credentials.plain);
    const ScramKeys* keys = credentials.scram_sha256 ? &*credentials.scram_sha256
                            : credentials.scram_sha1 ? &*credentials.scram_sha1
                                                     : nullptr;
    if (keys == nullptr) {
        (void)crypted(secret, nobodys_hash);
        return false;
    }
    const ScramHash kind = credentials.scram_sha256 ? ScramHash::sha256 : ScramHash::sha1;
    const auto salt = decode_base64(keys->salt);
    const auto made = derive(kind, secret, keys->iterations, salt.value_or(""));
    return made &&
           equal_in_constant_time(encode_base64({made->stored.data(), size_of(kind)}), keys->stored_key);
}

} // namespace bulkhead::sasl
