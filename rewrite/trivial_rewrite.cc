#include "trivial_rewrite.h"

#include "log/log.h"
#include "table/ask.h"

namespace bulkhead
{

Result<> TrivialRewrite::before_jail()
{
    TRY(resolver_, open_resolver(params_, common().myhostname()));
    TRY(probe_resolver_, open_probe_resolver(params_, common().myhostname()));
    return {};
}

bool TrivialRewrite::must_hand_over()
{
    if (!resolver_->is_stale() && !(probe_resolver_ && probe_resolver_->is_stale()))
        return false;
    log::info("a table has changed -- restarting");
    return true;
}

Task<ipc::Message> TrivialRewrite::answer(const ipc::Message& request)
{
    const auto refuse = [](const Error& error) {
        log::warn(error.context);
        return ipc::failure(error.context);
    };
    if (request.kind() == ipc::Kind::rewrite) {
        const auto asked = ipc::decode_rewrite(request);
        if (!asked)
            co_return refuse(asked.error());
        const std::string canonical = resolver_->rewrite(asked->context, asked->address);
        co_return ipc::encode_rewritten(canonical);
    }
    if (request.kind() == ipc::Kind::resolve) {
        const auto asked = ipc::decode_resolve(request);
        if (!asked)
            co_return refuse(asked.error());
        Resolver& resolver = asked->probe && probe_resolver_ ? *probe_resolver_ : *resolver_;
        const auto resolve = [&] { return resolver.resolve(asked->sender, asked->address); };
        const auto route = co_await ask(resolver.may_block(), resolve);
        if (!route)
            co_return refuse(route.error());
        co_return ipc::encode(*route, has_common_parameters() && are_rules(params_));
    }
    co_return refuse(Error{Fault::malformed, "a request that trivial-rewrite does not know"});
}

} // namespace bulkhead
