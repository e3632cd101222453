#include "saslauth.h"

#include "base/text.h"
#include "log/log.h"

#include <algorithm>

#include <fmt/format.h>

namespace bulkhead
{

Result<> SaslAuth::before_jail()
{
    users_ = UserStore::open(params_);
    std::vector<sasl::Mechanism> chosen;
    const std::vector<sasl::Mechanism> known = sasl::all_server_mechanisms();
    for (const std::string& word : params_.mechanisms()) {
        const auto found = std::ranges::find_if(
            known, [&](const sasl::Mechanism& one) { return equals_ignoring_case(one.name, word); });
        if (found == known.end())
            return Error{Fault::config, fmt::format("{}: saslauth_mechanisms: unknown mechanism \"{}\"",
                                                    config().place("saslauth_mechanisms"), printable(word))};
        chosen.push_back(*found);
    }
    service_.emplace(*users_, std::move(chosen));
    return {};
}

Task<> SaslAuth::serve(Session& session)
{
    if (users_->is_stale() && !is_draining()) {
        log::info("table has changed -- restarting");
        retire();
    }
    session.stream.set_timeout(common().ipc_timeout());
    Conversation conversation(session, *service_);
    co_await conversation.run();
}

} // namespace bulkhead
