#include "pool.h"

#include <algorithm>
#include <utility>

namespace bulkhead
{

SessionPool::SessionPool(const SmtpParams& params) : params_(params), timer_([this] { expire(); }) {}

template <typename Match> std::unique_ptr<SmtpSession> SessionPool::take(Match match)
{
    for (std::size_t i = kept_.size(); i-- > 0;) {
        if (!match(kept_[i]))
            continue;
        auto session = std::move(kept_[i].session);
        kept_.erase(kept_.begin() + static_cast<std::ptrdiff_t>(i));
        if (may_serve_again(*session))
            return session;
        dismiss(std::move(session));
    }
    return nullptr;
}

std::unique_ptr<SmtpSession> SessionPool::take_for_nexthop(std::string_view nexthop)
{
    return take([nexthop](const Kept& kept) { return kept.nexthop == nexthop; });
}

std::unique_ptr<SmtpSession> SessionPool::take_for_peer(const Peer& peer, std::string_view plan_key)
{
    return take([&](const Kept& kept) {
        return kept.session->peer().is_same_server(peer) && kept.session->peer().name == peer.name &&
               kept.session->plan_key() == plan_key;
    });
}

bool SessionPool::may_serve_again(const SmtpSession& session) const
{
    if (!session.may_take_another())
        return false;
    if (params_.reuse_count() > 0 && session.uses() >= params_.reuse_count())
        return false;
    return SteadyClock::now() - session.opened() < params_.reuse_time();
}

void SessionPool::give_back(std::unique_ptr<SmtpSession> session, std::string_view nexthop)
{
    if (closed_ || kept_.size() >= limit || !may_serve_again(*session)) {
        dismiss(std::move(session));
        return;
    }
    Kept kept{std::string(nexthop), SteadyClock::now(), std::move(session)};
    kept_.push_back(std::move(kept));
    if (!timer_.running())
        timer_.start(keep_time());
}

// Those that nobody took are at the front.
void SessionPool::expire()
{
    const SteadyTime now = SteadyClock::now();
    const auto is_old = [&](const Kept& kept) {
        return now - kept.since >= keep_time() || kept.session->is_dead();
    };
    std::vector<std::unique_ptr<SmtpSession>> old;
    for (Kept& kept : kept_)
        if (is_old(kept))
            old.push_back(std::move(kept.session));
    std::erase_if(kept_, [](const Kept& kept) { return kept.session == nullptr; });
    for (auto& session : old)
        dismiss(std::move(session));
    if (!kept_.empty())
        timer_.start(std::chrono::ceil<Milliseconds>(kept_.front().since + keep_time() - now));
}

static Task<> say_goodbye(std::unique_ptr<SmtpSession> session)
{
    co_await session->quit();
}

void SessionPool::dismiss(std::unique_ptr<SmtpSession> session)
{
    if (session->is_reusable())
        goodbyes_.spawn(say_goodbye, std::move(session));
}

void SessionPool::dismiss_all()
{
    for (Kept& kept : std::exchange(kept_, {}))
        dismiss(std::move(kept.session));
    timer_.cancel();
}

void SessionPool::close()
{
    closed_ = true;
    dismiss_all();
}

} // namespace bulkhead
