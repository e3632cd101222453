// Each rule and its verdict, told to who explains what would happen to a message.
#include "restrictions.h"

#include "policy.h"
#include "table/decision.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace bulkhead
{

// Its answer comes from the DNS, another server, a probe, or from waiting.
bool AccessCheck::asks_others(const Rule& rule)
{
    static constexpr std::array by_name = {&AccessCheck::reject_unknown_client,
                                           &AccessCheck::reject_unknown_reverse_client,
                                           &AccessCheck::reject_unknown_forward_client,
                                           &AccessCheck::reject_unknown_helo,
                                           &AccessCheck::reject_unknown_domain,
                                           &AccessCheck::reject_unverified,
                                           &AccessCheck::permit_mx_backup,
                                           &AccessCheck::reject_old_lists};
    const Restriction& what = *rule.what;
    return what.argument == Argument::dns_list || what.argument == Argument::policy_server ||
           what.argument == Argument::seconds || what.via != Via::itself ||
           std::ranges::find(by_name, what.evaluate) != by_name.end();
}

static std::string_view title_of(const Rule& rule)
{
    return rule.what->name.empty() ? std::string_view(rule.text) : rule.what->name;
}

void AccessCheck::tell(const Rule& rule, const Verdict& verdict) const
{
    const std::string value = !verdict.decided()  ? "no decision"
                              : verdict.refused() ? verdict.reply().summary()
                                                  : "permit";
    const std::string_view argument = rule.what->name.empty() ? std::string_view() : rule.text;
    tell_decision({parameter_, title_of(rule), argument, value});
}

void AccessCheck::tell_not_asked(const Rule& rule) const
{
    const Restriction& what = *rule.what;
    const std::string_view who = what.argument == Argument::policy_server ? "the policy server would be asked"
                                 : what.argument == Argument::seconds     ? "the client would have to wait"
                                 : what.evaluate == &AccessCheck::reject_unverified
                                     ? "verify would be asked"
                                     : "the DNS would be asked";
    tell_decision({parameter_, title_of(rule), rule.text, who});
}

} // namespace bulkhead
