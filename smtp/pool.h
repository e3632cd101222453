// Connections that are kept for the next message to the same next hop or server,
// for a short time: a burst of mail pays for one handshake.
#pragma once

#include "async/loop.h"
#include "async/scope.h"
#include "session.h"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

class SessionPool
{
public:
    explicit SessionPool(const SmtpParams& params);

    // Sessions at once; beyond it, the ones given back are closed.
    static constexpr std::size_t limit = 512;

    // The one that was used last, taken out of the pool; null: there is none.
    std::unique_ptr<SmtpSession> take_for_nexthop(std::string_view nexthop);
    // plan_key: how the session must have been opened.
    std::unique_ptr<SmtpSession> take_for_peer(const Peer& peer, std::string_view plan_key);

    // Keeps a session that may be used again, and says goodbye to every other.
    void give_back(std::unique_ptr<SmtpSession> session, std::string_view nexthop);

    // QUIT, in the background.
    void dismiss(std::unique_ptr<SmtpSession> session);
    void dismiss_all();

    // No more keeping: the worker is about to leave.
    void close();

    bool empty() const { return kept_.empty() && goodbyes_.size() == 0; }

private:
    struct Kept {
        std::string nexthop;
        SteadyTime since;
        std::unique_ptr<SmtpSession> session;
    };
    template <typename Match> std::unique_ptr<SmtpSession> take(Match match);
    bool may_serve_again(const SmtpSession& session) const;
    Seconds keep_time() const { return std::min(params_.cache_time(), params_.cache_limit()); }
    void expire();

    const SmtpParams& params_;
    std::vector<Kept> kept_; // oldest first
    Timer timer_;
    bool closed_ = false;
    Scope goodbyes_;
};

} // namespace bulkhead
