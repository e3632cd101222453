#include "dns/resolver.h"

#include "log/log.h"
#include "os/files.h"

#include <unbound.h>

// The header of the event mode wants these names, and nothing of libevent else.
struct event_base;
#include <unbound-event.h>

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

namespace bulkhead::dns
{

namespace
{

constexpr int code_no_error = 0;
constexpr int code_name_error = 3;
constexpr int security_bogus = 1;
constexpr int security_secure = 2;
constexpr int class_internet = 1;

constexpr Milliseconds longest_repeat{1500};

// libunbound is made for full resolvers; this is what a mail client's stub with a
// cache wants instead.
constexpr auto settings = std::to_array<std::pair<const char*, const char*>>({
    {"do-not-query-localhost:", "no"}, // a name server on this host is the usual case
    {"unblock-lan-zones:", "yes"},     // what private zones hold is the site's affair
    {"outgoing-range:", "256"},        // questions in flight
    {"num-queries-per-thread:", "1024"},
    {"infra-host-ttl:", "15"},         // a server that was down is soon asked again
    {"cache-max-negative-ttl:", "60"}, // a repaired zone is not missing for an hour
    {"msg-cache-size:", "4m"},
    {"rrset-cache-size:", "8m"},
    {"msg-cache-slabs:", "1"}, // one thread asks; more tables would only be more memory
    {"rrset-cache-slabs:", "1"},
    {"infra-cache-slabs:", "1"},
    {"key-cache-slabs:", "1"},
});

// Zones that the library would answer itself; private networks do use them.
// Names of the loopback networks are found in hosts(5), and else where the site says.
constexpr std::array own_zones{"test.", "invalid.", "home.arpa.", "127.in-addr.arpa."};

} // namespace

struct QueryCallback {
    static void call(void* self, int code, void* packet, int size, int security, char*, int)
    {
        const bool has_packet = packet != nullptr && size > 0 && code == code_no_error;
        const std::string_view bytes =
            has_packet ? std::string_view(static_cast<const char*>(packet), static_cast<std::size_t>(size))
                       : std::string_view{};
        static_cast<Query*>(self)->answered(code, bytes, security);
    }
};

Query::Query(Resolver& resolver, std::string name, Type type)
    : resolver_(resolver), name_(std::move(name)), type_(type), timer_([this] { expire(); })
{
}

Query::~Query()
{
    if (waiting_)
        ::ub_cancel(resolver_.context_.get(), id_);
}

// False: answered at once (local data) or hopeless.
bool Query::await_suspend(std::coroutine_handle<> handle)
{
    if (!resolver_.is_started())
        return false;
    const int fault = ::ub_resolve_event(resolver_.context_.get(), name_.c_str(), static_cast<int>(type_),
                                         class_internet, this, QueryCallback::call, &id_);
    if (fault == UB_SYNTAX)
        status_ = Status::not_found; // no such name can exist
    if (fault != 0 || answered_)
        return false;
    handle_ = handle;
    waiting_ = true;
    timer_.start(resolver_.patience_);
    return true;
}

void Query::answered(int code, std::string_view packet, int security)
{
    answered_ = true;
    secure_ = security == security_secure;
    ttl_ = time_to_live(packet);
    // An answer without records may come as a bare code or as a packet that tells it.
    if (code == code_no_error)
        code = response_code(packet);
    if (security == security_bogus)
        status_ = Status::bogus;
    else if (code == code_name_error)
        status_ = Status::not_found;
    else if (code == code_no_error && parse(packet))
        status_ = Status::found;
    if (!waiting_)
        return;
    waiting_ = false;
    timer_.cancel();
    resume_later(handle_); // the library still uses its own state here
}

void Query::expire()
{
    if (!waiting_)
        return;
    waiting_ = false;
    ::ub_cancel(resolver_.context_.get(), id_);
    handle_.resume();
}

template <> bool RecordQuery<MxRecord>::parse(std::string_view packet)
{
    auto records = parse_mx(packet);
    if (records)
        records_ = *std::move(records);
    return static_cast<bool>(records);
}

template <> bool RecordQuery<SocketAddress>::parse(std::string_view packet)
{
    auto records = parse_addresses(packet, type());
    if (records)
        records_ = *std::move(records);
    owner_ = owner_of(packet, type());
    return static_cast<bool>(records);
}

template <> bool RecordQuery<SrvRecord>::parse(std::string_view packet)
{
    auto records = parse_srv(packet);
    if (records)
        records_ = *std::move(records);
    return static_cast<bool>(records);
}

template <> bool RecordQuery<HostRecord>::parse(std::string_view packet)
{
    auto records = parse_hosts(packet, type());
    if (records)
        records_ = *std::move(records);
    return static_cast<bool>(records);
}

template <> bool RecordQuery<TextRecord>::parse(std::string_view packet)
{
    auto records = parse_txt(packet);
    if (records)
        records_ = *std::move(records);
    return static_cast<bool>(records);
}

template <> bool RecordQuery<TlsaRecord>::parse(std::string_view packet)
{
    auto records = parse_tlsa(packet);
    if (records)
        records_ = *std::move(records);
    return static_cast<bool>(records);
}

void Resolver::ContextEnd::operator()(ub_ctx* context) const
{
    ::ub_ctx_delete(context);
}

Resolver::~Resolver() = default;

Result<std::unique_ptr<Resolver>> Resolver::open(const ResolverOptions& options)
{
    const auto text_of = [](const std::string& path) { return read_file(path).value_or(std::string{}); };
    std::unique_ptr<Resolver> resolver(new Resolver(options));
    resolver->hosts_ = HostsFile(text_of(options.hosts));
    resolver->native_uses_dns_ = native_lookup_uses_dns(text_of(options.nsswitch_conf));
    resolver->conf_ = parse_resolv_conf(text_of(options.resolv_conf));
    if (resolver->validates()) // the anchor's file is out of reach in the jail
        TRY_VOID(resolver->start());
    return resolver;
}

// A library that cannot start is asked again with the next question.
bool Resolver::is_started()
{
    if (context_)
        return true;
    const auto started = start();
    if (!started) {
        log::warn(started.error().context);
        context_.reset();
    }
    return static_cast<bool>(started);
}

Result<> Resolver::start()
{
    context_.reset(::ub_ctx_create_event(static_cast<event_base*>(Loop::current().native_handle())));
    if (!context_)
        return Error{Fault::io, "libunbound gives no context"};
    ub_ctx* const context = context_.get();
    ::ub_ctx_debugout(context, nullptr);
    for (const auto& [name, value] : settings)
        if (const int fault = ::ub_ctx_set_option(context, name, value); fault != 0)
            return Error{Fault::config,
                         fmt::format("libunbound: {} {}: {}", name, value, ::ub_strerror(fault))};
    // A near server that has to ask far ones itself is not slow: no hasty repetitions, and
    // no giving up before a libc would.
    const std::string repeat_after = std::to_string(std::min(conf_.timeout, longest_repeat).count());
    if (const int fault = ::ub_ctx_set_option(context, "infra-cache-min-rtt:", repeat_after.c_str());
        fault != 0)
        return Error{Fault::config, fmt::format("libunbound: infra-cache-min-rtt: {}", ::ub_strerror(fault))};
    for (const SocketAddress& server : conf_.name_servers) {
        const std::string address =
            fmt::format("{}@{}", server.text(), options_.port.value_or(server.port()));
        if (const int fault = ::ub_ctx_set_fwd(context, address.c_str()); fault != 0)
            return Error{Fault::config, fmt::format("name server {}: {}", address, ::ub_strerror(fault))};
    }
    if (validates())
        if (const int fault = ::ub_ctx_add_ta_file(context, options_.trust_anchor_file.c_str()); fault != 0)
            return Error{Fault::config, fmt::format("trust anchor {}: {}", options_.trust_anchor_file,
                                                    ::ub_strerror(fault))};
    // As long as libc would try all servers.
    patience_ = conf_.timeout * conf_.attempts * static_cast<int>(conf_.name_servers.size());
    return warm_up();
}

// The first question makes the library read its files and settle its options; one
// about local data goes to no server.
Result<> Resolver::warm_up()
{
    bool answered = false;
    const auto note = [](void* flag, int, void*, int, int, char*, int) { *static_cast<bool*>(flag) = true; };
    int id = 0;
    const int fault = ::ub_resolve_event(context_.get(), "localhost", static_cast<int>(Type::a),
                                         class_internet, &answered, note, &id);
    if (fault != 0)
        return Error{Fault::io, fmt::format("libunbound cannot start: {}", ::ub_strerror(fault))};
    if (!answered)
        ::ub_cancel(context_.get(), id);
    for (const char* zone : own_zones)
        ::ub_ctx_zone_remove(context_.get(), zone);
    return {};
}

} // namespace bulkhead::dns
