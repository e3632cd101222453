#include "flush.h"

#include "async/offload.h"
#include "base/text.h"
#include "log/log.h"
#include "spool/site_log.h"
#include "table/ask.h"
#include "worker/spool_of.h"

#include <algorithm>

#include <fmt/format.h>

namespace bulkhead
{

Result<> Flush::before_jail()
{
    ListOptions options;
    options.kind = ListKind::domains;
    options.parent_matches_subdomains =
        std::ranges::find(params_.parent_domains(), "fast_flush_domains") != params_.parent_domains().end();
    options.parameter = "fast_flush_domains";
    TRY(sites_, MatchList::open(params_.domains(), options));
    queue_manager_.emplace("public/" + params_.queue_service(), common().ipc_timeout());
    return {};
}

Result<> Flush::after_jail()
{
    TRY(Spool spool, open_own_spool(common()));
    spool_.emplace(std::move(spool));
    return {};
}

void Flush::wake()
{
    if (refreshing_ || is_draining())
        return;
    refreshing_ = true;
    scope_.spawn(refresh, this);
}

void Flush::notified(std::string_view letters)
{
    if (letters.find('W') != letters.npos)
        wake();
}

Task<ipc::Message> Flush::answer(const ipc::Message& request)
{
    Result<> done = Error{Fault::malformed,
                          fmt::format("unexpected request of kind {}", static_cast<int>(request.kind()))};
    if (request.kind() == ipc::Kind::flush_add) {
        auto wanted = ipc::decode_flush_add(request);
        if (wanted)
            done = co_await add(std::move(*wanted));
        else
            done = wanted.error();
    } else if (request.kind() == ipc::Kind::flush_site) {
        auto site = ipc::decode_flush_site(request);
        if (site) {
            const auto answered = co_await release(lower(*site));
            if (answered)
                co_return ipc::encode_flush_answer(*answered);
            done = answered.error();
        } else {
            done = site.error();
        }
    }
    if (done)
        co_return ipc::Message(ipc::Kind::ok);
    log::warn(fmt::format("{} request failed: {}", service_name(), done.error().context));
    co_return ipc::failure(done.error().context);
}

Task<Result<bool>> Flush::is_listed(std::string site)
{
    const auto match = [this, &site] { return sites_.match(site); };
    const ListMatch answer = co_await ask(sites_.may_block(), match);
    if (answer.is_broken())
        co_return Error(Fault::broken, answer.reason);
    co_return static_cast<bool>(answer);
}

Task<Result<>> Flush::add(ipc::FlushAdd request)
{
    CO_TRY(const QueueId id, QueueId::parse(request.queue_id));
    for (const std::string& name : request.sites) {
        const std::string site = lower(name);
        CO_TRY(const bool listed, co_await is_listed(site));
        if (!listed)
            continue;
        const auto append = [this, &site, &id] { return append_site_log(*spool_, site, id); };
        CO_TRY_VOID(co_await offload(append));
    }
    co_return Result<>();
}

Task<Result<ipc::FlushAnswer>> Flush::release(std::string site)
{
    const auto turn = co_await releases_.acquire(site);
    CO_TRY(const bool listed, co_await is_listed(site));
    if (!listed)
        co_return ipc::FlushAnswer::refused;
    CO_TRY_VOID(co_await tell_queue_manager('F'));
    const auto move = [this, &site] { return release_site(*spool_, site, WallTime::now().seconds); };
    CO_TRY(const std::size_t released, co_await offload(move));
    if (released > 0)
        CO_TRY_VOID(co_await tell_queue_manager('I'));
    if (log::verbosity() > 0)
        log::trace(fmt::format("{}: {} messages released", printable(site), released));
    co_return ipc::FlushAnswer::started;
}

// A letter has no answer: that the socket took it must do.
Task<Result<>> Flush::tell_queue_manager(char letter)
{
    CO_TRY(ipc::Service::Connection connection, queue_manager_->connect_fresh());
    connection.stream().write(std::string_view(&letter, 1));
    CO_TRY_VOID(co_await connection.stream().flush());
    co_return Result<>();
}

Task<> Flush::refresh(Flush* self)
{
    const SiteLogAges ages{self->params_.refresh_time().count(), self->params_.purge_time().count()};
    const auto look = [self, ages] {
        return refresh_site_logs(*self->spool_, ages, WallTime::now().seconds);
    };
    const auto released = co_await offload(look);
    if (!released) {
        log::warn(released.error().context);
    } else if (*released > 0) {
        const auto told = co_await self->tell_queue_manager('I');
        if (!told)
            log::warn(told.error().context);
    }
    self->refreshing_ = false;
    self->activity_changed();
}

} // namespace bulkhead
