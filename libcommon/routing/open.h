// From parameters to a Resolver; and a Resolver that answers in this process what
// trivial-rewrite would answer, for those who explain the way of mail on a system that may
// be stopped.
#pragma once

#include "routing/params.h"
#include "routing/resolver.h"

#include <memory>
#include <optional>
#include <string>

namespace bulkhead
{

// Opens what the parameters name; Fault::config names the parameter.
Result<Resolver> open_resolver(const RewriteParams& params, const std::string& myhostname);

// The same for probes of addresses; nullopt where they go the way of other mail.
Result<std::optional<Resolver>> open_probe_resolver(const RewriteParams& params,
                                                    const std::string& myhostname);

// What trivial-rewrite answers depends on these parameters alone: they name no table and no file.
bool are_rules(const RewriteParams& params);

// Answers by parameters alone, with those of all services.
class RoutingRules final : public ipc::RewriteSource
{
public:
    // Null when they are no rules, or do not make a Resolver: trivial-rewrite will say why.
    static std::unique_ptr<RoutingRules> open(const Config& config);

    Result<std::string> rewrite(ipc::RewriteContext context, std::string_view address) override
    {
        return resolver_.rewrite(context, address);
    }
    Result<ipc::Resolved> resolve(std::string_view sender, std::string_view address) override
    {
        return resolver_.resolve(sender, address);
    }

private:
    explicit RoutingRules(Resolver resolver) : resolver_(std::move(resolver)) {}

    Resolver resolver_;
};

class LocalRewriting final : public ipc::RewriteSource
{
public:
    // Of the environment of that folder, with the -o of its service "rewrite".
    static Result<std::unique_ptr<LocalRewriting>> open(const std::string& config_directory);

    Result<std::string> rewrite(ipc::RewriteContext context, std::string_view address) override;
    Result<ipc::Resolved> resolve(std::string_view sender, std::string_view address) override
    {
        return resolver_.resolve(sender, address);
    }

private:
    explicit LocalRewriting(Resolver resolver) : resolver_(std::move(resolver)) {}

    Resolver resolver_;
};

} // namespace bulkhead
