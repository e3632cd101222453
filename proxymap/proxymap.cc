#include "proxymap.h"

#include "async/offload.h"
#include "base/text.h"
#include "log/log.h"

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

// A client keeps its connections for a shorter time (proxy_table.cc); who stays longer is
// closed, so that we see that we are idle.
constexpr Milliseconds client_idle_time{6'000};

constexpr std::size_t lookup_threads = 32;

} // namespace

JailPolicy Proxymap::jail_policy() const
{
    JailPolicy policy;
    policy.network = true; // the tables' servers
    return policy;
}

Result<> Proxymap::before_jail()
{
    writes_ = service_name() == params_.write_service();
    allowed_.emplace(writes_ ? params_.write_maps() : params_.read_maps());
    set_pool_size(Pool::lookups, lookup_threads);
    return {};
}

Task<> Proxymap::serve(Session& session)
{
    Stream& stream = session.stream;
    for (;;) {
        session.at_rest = stream.buffered().empty();
        stream.set_timeout(client_idle_time);
        std::size_t size = 0;
        while (size == 0) {
            const auto end = end_of_proxy_message(stream.buffered());
            if (!end) {
                log::warn("request refused: " + end.error().context);
                co_return;
            }
            size = *end;
            if (size > 0)
                break;
            const auto more = co_await stream.fill();
            if (!more)
                co_return; // gone, idle, or we are asked to leave
        }
        session.at_rest = false;
        auto request = parse_proxy_request(stream.buffered().substr(0, size));
        stream.consume(size);
        if (!request) {
            log::warn("request refused: " + request.error().context);
            co_return;
        }
        const ProxyReply reply = co_await answer(*std::move(request));
        append_message(stream.output(), reply);
        stream.set_timeout(common().ipc_timeout());
        const auto sent = co_await stream.flush();
        if (!sent || is_draining())
            co_return;
    }
}

// Why this service does not do that; nullopt: it does.
std::optional<ProxyReply> Proxymap::refused(const ProxyRequest& request) const
{
    const auto refuse = [](std::string reason) {
        return ProxyReply{ProxyReply::Status::refused, {}, std::move(reason)};
    };
    const Param<std::string>& list = writes_ ? params_.write_maps : params_.read_maps;
    if (!allowed_->allows(request.table)) {
        log::warn(fmt::format("request for unapproved table: \"{}\"", printable(request.table)));
        log::warn(fmt::format("to approve this table for {} access, list proxy:{} in {}:{}",
                              writes_ ? "read-write" : "read-only", printable(request.table),
                              config().place(list.name()), list.name()));
        return refuse(fmt::format("the table is not in {}", list.name()));
    }
    if (request.op != ProxyRequest::Op::find && !writes_)
        return refuse("this service only reads");
    // We would wait for ourselves.
    if (request.table.find("proxy:") != std::string::npos)
        return refuse("a proxy of a proxy");
    return std::nullopt;
}

Task<ProxyReply> Proxymap::answer(ProxyRequest request)
{
    if (const auto refusal = refused(request))
        co_return *refusal;
    const std::string key = fmt::format("{:d}{:d}{:d}{}", request.fold_fixed_keys, request.fold_patterns,
                                        request.is_alias_source, request.table);
    std::unique_ptr<SharedTable>& table = tables_[key];
    if (!table)
        table = std::make_unique<SharedTable>(request, writes_);
    SharedTable& shared = *table;
    co_return co_await shared.answer(request);
}

} // namespace bulkhead
