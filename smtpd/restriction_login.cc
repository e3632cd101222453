// Restrictions about who may use which sender address: smtpd_sender_login_maps.
#include "policy.h"
#include "restrictions.h"

#include "base/text.h"
#include "table/ask.h"

#include <algorithm>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

constexpr int not_owner_code = 553;

bool lists(std::string_view owners, std::string_view login)
{
    const auto names = split(owners, ", \t\r\n");
    return std::ranges::any_of(names, [&](std::string_view one) { return equals_ignoring_case(one, login); });
}

} // namespace

// The logins that own the sender address: a list of names, or absent.
Task<Lookup> AccessCheck::sender_owners()
{
    const auto resolved = co_await resolve(*subject_.sender);
    if (!resolved)
        co_return Lookup::broken(resolved.error().context);
    const bool local = resolved->address_class == ipc::AddressClass::local;
    AddressKeyOptions options = policy_.key_options();
    options.is_local = [local](std::string_view) { return local; };
    const auto keys = mapping_keys(resolved->recipient, options);
    TableList& tables = policy_.sender_logins();
    const auto look_up = [&] { return find_first(tables, keys); };
    co_return co_await ask(tables.may_block(), look_up);
}

// For clients that have logged in: the address must be theirs; only_known: one that nobody owns is
// for all of them.
Task<Verdict> AccessCheck::reject_foreign_sender(bool only_known)
{
    if (subject_.sasl_username.empty() || !subject_.sender || subject_.sender->empty())
        co_return Verdict();
    const Lookup owners = co_await sender_owners();
    if (owners.is_broken())
        co_return look_up_failed(*subject_.sender, owners.reason());
    if ((owners.is_absent() && only_known) ||
        (owners.is_found() && lists(owners.value(), subject_.sasl_username)))
        co_return Verdict();
    const std::string text = fmt::format("{}: not owned by user {}", rejected(Part::sender),
                                         printable(subject_.sasl_username, true));
    co_return Verdict(Reply(not_owner_code, "5.7.1", text));
}

// For the others: the address must be nobody's.
Task<Verdict> AccessCheck::reject_unauthenticated_sender(const Rule&)
{
    if (!subject_.sasl_username.empty() || !subject_.sender || subject_.sender->empty())
        co_return Verdict();
    const Lookup owners = co_await sender_owners();
    if (owners.is_broken())
        co_return look_up_failed(*subject_.sender, owners.reason());
    if (owners.is_absent())
        co_return Verdict();
    co_return Verdict(Reply(not_owner_code, "5.7.1", rejected(Part::sender) + ": not logged in"));
}

Task<Verdict> AccessCheck::reject_authenticated_sender(const Rule&)
{
    co_return co_await reject_foreign_sender(false);
}

Task<Verdict> AccessCheck::reject_sender_login(const Rule& rule)
{
    Verdict verdict = co_await reject_foreign_sender(false);
    if (!verdict.decided())
        verdict = co_await reject_unauthenticated_sender(rule);
    co_return verdict;
}

Task<Verdict> AccessCheck::reject_known_sender_login(const Rule& rule)
{
    Verdict verdict = co_await reject_foreign_sender(true);
    if (!verdict.decided())
        verdict = co_await reject_unauthenticated_sender(rule);
    co_return verdict;
}

} // namespace bulkhead
