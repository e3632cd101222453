#include "sasl/client_login.h"

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

// What a server may make us compute.
constexpr std::uint64_t iteration_limit = 500'000;

// In the order of preference; tokens are used where nothing else is allowed
// (smtp_sasl_mechanism_filter), since a password is what most tables hold.
constexpr std::array<std::string_view, 9> preferred = {
    "SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1", "CRAM-MD5", "PLAIN", "LOGIN",
    "OAUTHBEARER",        "XOAUTH2",
};

Error too_many_steps()
{
    return {Fault::refused, "the server asks for more than the mechanism has"};
}

class PlainLogin final : public ClientLogin
{
public:
    explicit PlainLogin(ClientSecrets secrets) : secrets_(std::move(secrets)) {}

    Result<std::string> answer(const std::string&) override
    {
        if (done_)
            return too_many_steps();
        done_ = true;
        return std::string(1, '\0') + secrets_.user + '\0' + secrets_.password;
    }

private:
    ClientSecrets secrets_;
    bool done_ = false;
};

// The questions come in this order, whatever their words are.
class PasswordDialogue final : public ClientLogin
{
public:
    explicit PasswordDialogue(ClientSecrets secrets) : secrets_(std::move(secrets)) {}

    bool waits_for_challenge() const override { return true; }
    Result<std::string> answer(const std::string&) override
    {
        switch (++step_) {
        case 1:
            return secrets_.user;
        case 2:
            return secrets_.password;
        default:
            return too_many_steps();
        }
    }

private:
    ClientSecrets secrets_;
    int step_ = 0;
};

class TokenLogin final : public ClientLogin
{
public:
    TokenLogin(ClientSecrets secrets, bool standard) : secrets_(std::move(secrets)), standard_(standard) {}

    // A challenge behind the token is the server's reason; it wants an empty answer before it
    // says no (RFC 7628, 3.2.3: byte 1).
    Result<std::string> answer(const std::string&) override
    {
        switch (++step_) {
        case 1:
            break;
        case 2:
            return std::string(standard_ ? "\001" : "");
        default:
            return too_many_steps();
        }
        if (!standard_)
            return fmt::format("user={}\001auth=Bearer {}\001\001", secrets_.user, secrets_.password);
        std::string name;
        for (const char c : secrets_.user)
            name += c == ',' ? "=2C" : c == '=' ? "=3D" : std::string(1, c);
        return fmt::format("n,a={},\001host={}\001port={}\001auth=Bearer {}\001\001", name, secrets_.host,
                           secrets_.port, secrets_.password);
    }

private:
    ClientSecrets secrets_;
    bool standard_;
    int step_ = 0;
};

class GsaslLogin final : public ClientLogin, private GsaslSession
{
public:
    static Result<std::unique_ptr<ClientLogin>> begin(std::string mechanism, const ClientSecrets& secrets)
    {
        std::unique_ptr<GsaslLogin> login(new GsaslLogin(mechanism));
        TRY_VOID(login->open(Side::client, mechanism));
        login->set(GSASL_AUTHID, secrets.user);
        login->set(GSASL_PASSWORD, secrets.password);
        if (!secrets.channel_binding.empty() && mechanism.ends_with("-PLUS"))
            login->set(GSASL_CB_TLS_EXPORTER, encode_base64(secrets.channel_binding));
        return std::unique_ptr<ClientLogin>(std::move(login));
    }

    bool waits_for_challenge() const override { return mechanism_ == "CRAM-MD5"; }
    bool is_complete() const override { return complete_; }

    Result<std::string> answer(const std::string& challenge) override
    {
        if (complete_)
            return too_many_steps();
        if (asks_too_much(challenge))
            return Error{Fault::refused, "the server asks for too many iterations"};
        std::string output;
        const int status = step(challenge, output);
        if (status != GSASL_OK && status != GSASL_NEEDS_MORE)
            return Error{Fault::refused, ::gsasl_strerror(status)};
        complete_ = status == GSASL_OK;
        return output;
    }

private:
    explicit GsaslLogin(std::string mechanism) : mechanism_(std::move(mechanism)) {}

    // The i= of a SCRAM server's first message.
    bool asks_too_much(const std::string& challenge) const
    {
        if (waits_for_challenge())
            return false;
        for (const std::string_view part : split(challenge, ","))
            if (part.starts_with("i=") &&
                parse_unsigned(part.substr(2)).value_or(iteration_limit + 1) > iteration_limit)
                return true;
        return false;
    }

    std::string mechanism_;
    bool complete_ = false;
};

} // namespace

std::optional<std::string> choose_mechanism(const std::vector<std::string>& offered, const Demands& demands,
                                            bool can_bind)
{
    for (const std::string_view name : preferred) {
        if (name.ends_with("-PLUS") && !can_bind)
            continue;
        const auto same = [name](const std::string& one) { return equals_ignoring_case(one, name); };
        if (demands.allow(properties_of(name)) && std::ranges::any_of(offered, same))
            return std::string(name);
    }
    return std::nullopt;
}

Result<std::unique_ptr<ClientLogin>> ClientLogin::begin(std::string_view mechanism, ClientSecrets secrets)
{
    const auto is = [mechanism](std::string_view name) { return mechanism == name; };
    std::unique_ptr<ClientLogin> login;
    if (is("PLAIN"))
        login = std::make_unique<PlainLogin>(std::move(secrets));
    else if (is("LOGIN"))
        login = std::make_unique<PasswordDialogue>(std::move(secrets));
    else if (is("OAUTHBEARER") || is("XOAUTH2"))
        login = std::make_unique<TokenLogin>(std::move(secrets), is("OAUTHBEARER"));
    else if (is("CRAM-MD5") || is("SCRAM-SHA-1") || is("SCRAM-SHA-256") || is("SCRAM-SHA-1-PLUS") ||
             is("SCRAM-SHA-256-PLUS"))
        return GsaslLogin::begin(std::string(mechanism), secrets);
    if (!login)
        return Error{Fault::refused, fmt::format("unknown mechanism {}", printable(mechanism))};
    return login;
}

} // namespace bulkhead::sasl
