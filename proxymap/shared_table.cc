#include "shared_table.h"

#include "log/log.h"
#include "table/ask.h"

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

// Of the look-up threads one table may have this many (Proxymap::before_jail has four
// times as many): a server that hangs leaves the others to the other tables.
constexpr std::size_t questions_at_once = 8;

constexpr Seconds look_interval{1};
constexpr Seconds open_interval{1};

ProxyReply failure(std::string reason)
{
    return {ProxyReply::Status::broken, {}, std::move(reason)};
}

} // namespace

SharedTable::SharedTable(const ProxyRequest& request, bool writable)
    : spec_(request.table), writable_(writable), turns_(questions_at_once)
{
    options_.fold_fixed_keys = request.fold_fixed_keys;
    options_.fold_patterns = request.fold_patterns;
    options_.is_alias_source = request.is_alias_source;
}

Result<std::shared_ptr<SharedTable::Opened>> SharedTable::open_now() const
{
    Opened opened;
    if (writable_) {
        TRY(std::unique_ptr<WritableTable> table, open_writable_table(spec_));
        opened.writable = table.get();
        opened.table = std::move(table);
    } else {
        TRY(opened.table, open_table(spec_, options_));
    }
    return std::make_shared<Opened>(std::move(opened));
}

// What is open, or is opened now; a failure is remembered for a moment.
Task<Result<std::shared_ptr<SharedTable::Opened>>> SharedTable::open()
{
    const auto turn = co_await opening_.acquire();
    const SteadyTime now = SteadyClock::now();
    if (opened_ && now >= next_look_) {
        next_look_ = now + look_interval;
        if (opened_->table->is_stale())
            opened_.reset();
    }
    if (opened_)
        co_return opened_;
    if (now < next_try_)
        co_return Error(Fault::broken, trouble_);
    const auto work = [this] { return open_now(); };
    auto opened = co_await ask(true, work);
    if (!opened) {
        trouble_ = opened.error().context;
        next_try_ = now + open_interval;
        log::error(fmt::format("{} is unavailable: {}", spec_, trouble_));
        co_return opened.error();
    }
    opened_ = *std::move(opened);
    co_return opened_;
}

Task<ProxyReply> SharedTable::answer(const ProxyRequest& request)
{
    const auto opened = co_await open();
    if (!opened)
        co_return failure(opened.error().context);
    const auto turn = co_await turns_.acquire();
    Opened& table = **opened;
    const auto question = [&] { return look_up(table, request); };
    // Users and groups may come from a directory server.
    const bool may_block = table.table->may_block() || spec_.starts_with("unix:");
    const ProxyReply reply = co_await ask(may_block, question);
    if (reply.status == ProxyReply::Status::broken)
        log::warn(fmt::format("{}: {}", spec_, reply.text));
    co_return reply;
}

ProxyReply SharedTable::look_up(Opened& opened, const ProxyRequest& request)
{
    using Op = ProxyRequest::Op;
    using Status = ProxyReply::Status;
    switch (request.op) {
    case Op::find: {
        const Lookup answer = opened.table->find(request.key);
        if (answer.is_broken())
            return failure(answer.reason());
        if (answer.is_found() && answer.value().size() > proxy_message_limit / 2)
            return failure("the value is too long");
        return answer.is_found() ? ProxyReply{Status::found, {}, answer.value()}
                                 : ProxyReply{Status::absent, {}, {}};
    }
    case Op::store: {
        const auto stored = opened.writable->store(request.key, request.value);
        return stored ? ProxyReply{Status::done, {}, {}} : failure(stored.error().context);
    }
    case Op::remove: {
        const auto removed = opened.writable->remove(request.key);
        if (!removed)
            return failure(removed.error().context);
        return {*removed ? Status::found : Status::absent, {}, {}};
    }
    case Op::after: {
        auto entry = opened.writable->after(request.key);
        if (!entry)
            return failure(entry.error().context);
        if (!*entry)
            return {Status::absent, {}, {}};
        return {Status::found, std::move((*entry)->key), std::move((*entry)->value)};
    }
    }
    return failure("an unknown request");
}

} // namespace bulkhead
