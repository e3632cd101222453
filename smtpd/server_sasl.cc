#include "server_sasl.h"

#include "base/text.h"
#include "config/config.h"
#include "log/log.h"
#include "os/jail.h"
#include "table/ask.h"

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

// Our own service, in the jail.
constexpr const char* embedded_service = "private/saslauth";

constexpr Seconds complaint_interval{10};

Error at_parameter(const Config& config, std::string_view name, const Error& error)
{
    return Error{Fault::config, fmt::format("{}: {}: {}", config.place(name), name, error.context)};
}

Result<sasl::AuthPlace> place_of(const SmtpdSaslParams& params)
{
    const std::string& type = params.type();
    if (equals_ignoring_case(type, "dovecot"))
        return sasl::AuthPlace::parse(params.path());
    if (equals_ignoring_case(type, "cyrus"))
        log::warn("smtpd_sasl_type = cyrus: there is no Cyrus SASL here; logins are checked by saslauth "
                  "(bulkhead user), as with smtpd_sasl_type = gsasl");
    else if (!equals_ignoring_case(type, "gsasl"))
        return Error{Fault::config, fmt::format("unknown type \"{}\": dovecot or gsasl", printable(type))};
    return sasl::AuthPlace::parse(embedded_service);
}

} // namespace

Result<std::unique_ptr<ServerSasl>> ServerSasl::open(const Config& config, const SmtpdSaslParams& params)
{
    std::unique_ptr<ServerSasl> self(new ServerSasl(params));
    if (!params.enable())
        return self;
    auto place = place_of(params);
    if (!place)
        return at_parameter(config, "smtpd_sasl_type", place.error());
    if (place->address)
        allow_network_in_jail();
    self->service_ = std::make_unique<sasl::AuthClient>(*std::move(place));

    const auto in_clear = sasl::parse_security_options(params.security());
    if (!in_clear)
        return at_parameter(config, "smtpd_sasl_security_options", in_clear.error());
    const auto in_tls = sasl::parse_security_options(params.tls_security());
    if (!in_tls)
        return at_parameter(config, "smtpd_sasl_tls_security_options", in_tls.error());
    self->in_clear_ = *in_clear;
    self->in_tls_ = *in_tls;

    ListOptions options;
    options.kind = ListKind::addresses;
    auto exceptions = MatchList::open(params.exceptions(), options);
    if (!exceptions)
        return at_parameter(config, "smtpd_sasl_exceptions_networks", exceptions.error());
    self->exceptions_ = *std::move(exceptions);
    auto filter = MatchList::open(params.mechanism_filter());
    if (!filter)
        return at_parameter(config, "smtpd_sasl_mechanism_filter", filter.error());
    self->filter_ = *std::move(filter);
    return self;
}

Task<bool> ServerSasl::is_offered_to(const std::string& client_address) const
{
    if (!is_enabled())
        co_return false;
    const auto find = [&] { return exceptions_.match(client_address); };
    const ListMatch match = co_await ask(exceptions_.may_block(), find);
    if (match.is_broken())
        log::warn("smtpd_sasl_exceptions_networks: " + match.reason);
    co_return !match;
}

Task<std::vector<std::string>> ServerSasl::mechanisms(bool encrypted)
{
    std::vector<std::string> names;
    const auto offered = co_await service_->mechanisms();
    if (!offered) {
        const SteadyTime now = SteadyClock::now();
        if (complained_ == SteadyTime{} || now - complained_ >= complaint_interval)
            log::warn("SASL: " + offered.error().context);
        complained_ = now;
        co_return names;
    }
    const sasl::Demands& demands = encrypted ? in_tls_ : in_clear_;
    const auto choose = [&] {
        for (const sasl::Mechanism& one : *offered)
            if (demands.allow(one.properties) && filter_.match(one.name))
                names.push_back(one.name);
    };
    co_await ask(filter_.may_block(), choose);
    co_return names;
}

} // namespace bulkhead
