#include "sasl/server_login.h"

#include "base/text.h"
#include "sasl/base64.h"
#include "sasl/gsasl.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace bulkhead::sasl
{

namespace
{

using Kind = LoginStep::Kind;

constexpr std::size_t name_limit = 255;       // bytes of a user name
constexpr std::size_t token_limit = 8 * 1024; // bytes of a token

LoginStep challenge(std::string text)
{
    LoginStep step(Kind::go_on);
    step.challenge = std::move(text);
    return step;
}

LoginStep denied(std::string user, std::string reason)
{
    LoginStep step(Kind::denied);
    step.user = std::move(user);
    step.reason = std::move(reason);
    return step;
}

LoginStep broken(std::string user, std::string reason)
{
    LoginStep step = denied(std::move(user), std::move(reason));
    step.kind = Kind::broken;
    return step;
}

LoginStep granted(std::string user)
{
    LoginStep step(Kind::granted);
    step.user = std::move(user);
    return step;
}

bool is_user_name(std::string_view name)
{
    const auto control = [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; };
    return !name.empty() && name.size() <= name_limit && is_valid_utf8(name) &&
           std::ranges::none_of(name, control);
}

// The same answer, after the same time, whether the user or the password is wrong.
LoginStep check_password(UserSource& users, const std::string& name, std::string_view password)
{
    if (!is_user_name(name))
        return denied({}, "bad user name");
    const auto found = users.find(name);
    if (!found)
        return broken(name, found.error().context);
    const bool good = is_password(*found ? (*found)->credentials : Credentials(), password);
    return good ? granted((*found)->name) : denied(name, {});
}

// RFC 4616: authorization identity, user, password, NULs between them.
class PlainLogin final : public ServerLogin
{
public:
    explicit PlainLogin(UserSource& users) : users_(users) {}

    LoginStep step(const std::optional<std::string>& response) override
    {
        if (!response && !asked_) {
            asked_ = true;
            return challenge({});
        }
        const std::string_view text = response ? std::string_view(*response) : std::string_view();
        const auto first = text.find('\0');
        const auto second = first == text.npos ? text.npos : text.find('\0', first + 1);
        if (second == text.npos || text.find('\0', second + 1) != text.npos)
            return denied({}, "malformed PLAIN response");
        const std::string_view other = text.substr(0, first);
        const std::string user(text.substr(first + 1, second - first - 1));
        if (!other.empty() && other != user)
            return denied(is_user_name(user) ? user : "", "no user may act for another");
        return check_password(users_, user, text.substr(second + 1));
    }

private:
    UserSource& users_;
    bool asked_ = false;
};

// Two questions, whose words old clients compare.
class PasswordDialogue final : public ServerLogin
{
public:
    explicit PasswordDialogue(UserSource& users) : users_(users) {}

    LoginStep step(const std::optional<std::string>& response) override
    {
        if (!response && user_)
            return denied(*user_, "malformed LOGIN response");
        if (!response)
            return challenge("Username:");
        if (user_)
            return check_password(users_, *user_, *response);
        if (!is_user_name(*response))
            return denied({}, "bad user name");
        user_ = *response;
        return challenge("Password:");
    }

private:
    UserSource& users_;
    std::optional<std::string> user_;
};

// CRAM-MD5 and SCRAM, which libgsasl speaks.
class GsaslLogin final : public ServerLogin, private GsaslSession
{
public:
    GsaslLogin(UserSource& users, std::string mechanism)
        : users_(users), mechanism_(std::move(mechanism)), wide_(mechanism_ == "SCRAM-SHA-256"),
          speaks_first_(mechanism_ == "CRAM-MD5")
    {
    }

    LoginStep step(const std::optional<std::string>& response) override
    {
        if (complete_) // the client has acknowledged the server's proof
            return response && response->empty() ? granted(user_) : denied(user_, "text behind the login");
        if (!opened_) {
            const auto opened = open(Side::server, mechanism_);
            if (!opened)
                return broken({}, opened.error().context);
            opened_ = true;
            set(GSASL_HOSTNAME, "localhost");
            set(GSASL_SERVICE, "smtp");
        }
        if (!response && !speaks_first_ && !asked_) {
            asked_ = true;
            return challenge({});
        }
        if (response && speaks_first_ && !asked_)
            return denied({}, "unexpected initial response");
        // RFC 5802, section 6: a bound exchange is for the -PLUS mechanisms, which we do not offer.
        if (!speaks_first_ && !began_ && response && response->starts_with("p="))
            return denied({}, "channel binding is not offered");
        began_ = began_ || response.has_value();
        if (response && response->empty()) // libgsasl would wait for more, for ever
            return denied(name(), "empty response");
        asked_ = true;
        std::string output;
        const int status = GsaslSession::step(response.value_or(""), output);
        if (!trouble_.empty())
            return broken(name(), trouble_);
        if (status == GSASL_NEEDS_MORE)
            return challenge(std::move(output));
        if (status != GSASL_OK || user_.empty())
            return denied(name(), status == GSASL_AUTHENTICATION_ERROR ? "" : ::gsasl_strerror(status));
        if (output.empty())
            return granted(user_);
        complete_ = true;
        return challenge(std::move(output));
    }

private:
    std::string name() const
    {
        const std::string claimed = opened_ ? get(GSASL_AUTHID) : std::string();
        return is_user_name(claimed) ? claimed : std::string();
    }

    int provide(Gsasl_property property) override
    {
        if (property == GSASL_PASSWORD)
            return provide_password();
        const bool scram = property == GSASL_SCRAM_ITER || property == GSASL_SCRAM_SALT ||
                           property == GSASL_SCRAM_SERVERKEY || property == GSASL_SCRAM_STOREDKEY;
        return scram ? provide_keys() : static_cast<int>(GSASL_NO_CALLBACK);
    }

    std::optional<StoredUser> find_user()
    {
        const std::string claimed = name();
        auto found = claimed.empty() ? Result<std::optional<StoredUser>>(std::nullopt) : users_.find(claimed);
        if (!found) {
            trouble_ = found.error().context;
            return std::nullopt;
        }
        if (*found)
            user_ = (*found)->name;
        return *std::move(found);
    }

    int provide_password()
    {
        if (mechanism_ != "CRAM-MD5")
            return GSASL_NO_PASSWORD;
        const auto found = find_user();
        if (!found || !found->credentials.plain)
            return GSASL_NO_PASSWORD;
        set(GSASL_PASSWORD, *found->credentials.plain);
        return GSASL_OK;
    }

    // A user who is not there gets a salt too, always the same, and keys that fit nothing.
    int provide_keys()
    {
        const auto found = find_user();
        std::optional<ScramKeys> keys;
        if (found)
            keys = wide_ ? found->credentials.scram_sha256 : found->credentials.scram_sha1;
        if (found && !keys && found->credentials.plain) {
            const auto made = make_scram_keys(wide_ ? ScramHash::sha256 : ScramHash::sha1,
                                              *found->credentials.plain, invented_salt(found->name));
            if (made)
                keys = *made;
        }
        if (!keys)
            keys = nobodys_keys();
        set(GSASL_SCRAM_ITER, std::to_string(keys->iterations));
        set(GSASL_SCRAM_SALT, keys->salt);
        set(GSASL_SCRAM_SERVERKEY, keys->server_key);
        set(GSASL_SCRAM_STOREDKEY, keys->stored_key);
        return GSASL_OK;
    }

    ScramKeys nobodys_keys() const
    {
        std::string key(wide_ ? GSASL_HASH_SHA256_SIZE : GSASL_HASH_SHA1_SIZE, '\0');
        (void)::gsasl_random(key.data(), key.size());
        return {4096, encode_base64(invented_salt(name())), encode_base64(key), encode_base64(key)};
    }

    UserSource& users_;
    std::string mechanism_;
    bool wide_;
    bool speaks_first_;
    bool opened_ = false;
    bool asked_ = false;
    bool began_ = false; // the first message is behind us
    bool complete_ = false;
    std::string user_; // as stored
    std::string trouble_;
};

// RFC 7628 and its older relative: "key=value" parts with byte 1 behind each.
class TokenLogin final : public ServerLogin
{
public:
    TokenLogin(UserSource& users, bool standard) : users_(users), standard_(standard) {}

    LoginStep step(const std::optional<std::string>& response) override
    {
        if (failure_) // the client has read why
            return *failure_;
        if (!response && !asked_) {
            asked_ = true;
            return challenge({});
        }
        std::string_view text = response ? std::string_view(*response) : std::string_view();
        std::string user;
        std::string token;
        if (!read(text, user, token))
            return denied({}, "malformed token response");
        return check(user, token);
    }

private:
    bool read(std::string_view text, std::string& user, std::string& token) const
    {
        if (standard_) {
            // The header of GS2: "n,a=user,"; channel binding is not for bearer tokens.
            const auto first = text.find(',');
            const auto second = first == text.npos ? text.npos : text.find(',', first + 1);
            if (second == text.npos || (text.substr(0, first) != "n" && text.substr(0, first) != "y"))
                return false;
            const std::string_view name = text.substr(first + 1, second - first - 1);
            if (!name.empty() && !name.starts_with("a="))
                return false;
            user = name.empty() ? std::string() : unescape_name(name.substr(2));
            text.remove_prefix(second + 1);
        }
        for (const std::string_view part : split(text, "\001")) {
            if (starts_with_ignoring_case(part, "auth=bearer "))
                token = trim(part.substr(12));
            else if (!standard_ && part.starts_with("user="))
                user = part.substr(5);
        }
        const auto visible = [](char c) { return c > ' ' && c <= '~'; };
        return !token.empty() && token.size() <= token_limit && std::ranges::all_of(token, visible) &&
               (user.empty() ? standard_ : is_user_name(user));
    }

    // RFC 5801, section 4.
    static std::string unescape_name(std::string_view name)
    {
        std::string out;
        for (std::size_t i = 0; i < name.size(); ++i) {
            const std::string_view escape = name.substr(i, 3);
            if (escape == "=2C" || escape == "=3D") {
                out += escape == "=2C" ? ',' : '=';
                i += 2;
            } else {
                out += name[i];
            }
        }
        return out;
    }

    LoginStep check(const std::string& user, const std::string& token)
    {
        const auto owners = users_.owners_of(token);
        if (!owners)
            return broken(user, owners.error().context);
        const auto mine = [&](const std::string& one) { return equals_ignoring_case(one, user); };
        const auto owner =
            user.empty() && owners->size() == 1 ? owners->begin() : std::ranges::find_if(*owners, mine);
        if (owner != owners->end())
            return granted(*owner);
        failure_ = denied(user, "token not valid");
        return challenge(standard_ ? R"({"status":"invalid_token"})"
                                   : R"({"status":"401","schemes":"bearer","scope":"mail"})");
    }

    UserSource& users_;
    bool standard_;
    bool asked_ = false;
    std::optional<LoginStep> failure_;
};

} // namespace

std::vector<Mechanism> server_mechanisms(const UserAbilities& users)
{
    std::vector<Mechanism> offered;
    const auto add = [&](bool useful, std::string_view name) {
        if (useful)
            offered.push_back(Mechanism{std::string(name), properties_of(name)});
    };
    add(users.scram_sha256, "SCRAM-SHA-256");
    add(users.scram_sha1, "SCRAM-SHA-1");
    add(users.plain, "CRAM-MD5");
    add(true, "PLAIN");
    add(true, "LOGIN");
    add(users.tokens, "OAUTHBEARER");
    add(users.tokens, "XOAUTH2");
    return offered;
}

std::vector<Mechanism> all_server_mechanisms()
{
    return server_mechanisms(UserAbilities{true, true, true, true});
}

std::unique_ptr<ServerLogin> begin_login(std::string_view mechanism, UserSource& users)
{
    const auto is = [mechanism](std::string_view name) { return equals_ignoring_case(mechanism, name); };
    if (is("PLAIN"))
        return std::make_unique<PlainLogin>(users);
    if (is("LOGIN"))
        return std::make_unique<PasswordDialogue>(users);
    if (is("SCRAM-SHA-256") || is("SCRAM-SHA-1") || is("CRAM-MD5"))
        return std::make_unique<GsaslLogin>(users, upper(mechanism));
    if (is("OAUTHBEARER") || is("XOAUTH2"))
        return std::make_unique<TokenLogin>(users, is("OAUTHBEARER"));
    return nullptr;
}

} // namespace bulkhead::sasl
