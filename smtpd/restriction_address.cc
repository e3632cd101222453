// Restrictions on senders and recipients, and on where mail may go.
#include "restrictions.h"

#include "policy.h"

#include "ipc/verify.h"
#include "log/log.h"
#include "mail/address.h"

#include <fmt/format.h>

namespace bulkhead
{

// Where mail for this address would go; asked once for the recipient of a command.
Task<Result<ipc::Resolved>> AccessCheck::resolve(std::string_view address)
{
    if (resolution_ && resolution_->address == address)
        co_return resolution_->resolved;
    std::string internal(address);
    CO_TRY(std::string canonical, co_await policy_.rewriter().rewrite(ipc::RewriteContext::local, internal));
    std::string sender(subject_.sender.value_or(""));
    CO_TRY(ipc::Resolved resolved,
           co_await policy_.rewriter().resolve(std::move(sender), std::move(canonical)));
    resolution_ = Resolution(std::move(internal), resolved);
    co_return resolved;
}

Task<Verdict> AccessCheck::permit_auth_destination(const Rule&)
{
    if (!subject_.recipient)
        co_return Verdict();
    const auto resolved = co_await resolve(*subject_.recipient);
    if (!resolved)
        co_return look_up_failed(*subject_.recipient, resolved.error().context);
    co_return policy_.is_authorized(*resolved) ? Verdict::permit() : Verdict();
}

// A list of the DNS must not open a way past reject_unauth_destination.
Task<bool> AccessCheck::may_permit()
{
    if (use_ != ListUse::recipient || !subject_.recipient)
        co_return true;
    const auto resolved = co_await resolve(*subject_.recipient);
    co_return resolved&& policy_.is_authorized(*resolved);
}

Task<Verdict> AccessCheck::reject_unauth_destination(const Rule&)
{
    if (!subject_.recipient)
        co_return Verdict();
    const auto resolved = co_await resolve(*subject_.recipient);
    if (!resolved)
        co_return look_up_failed(*subject_.recipient, resolved.error().context);
    if (policy_.is_authorized(*resolved))
        co_return Verdict();
    const std::string text = fmt::format("<{}>: Relay access denied", external_form(*subject_.recipient));
    co_return refusal(policy_.params().relay_code(), "5.7.1", text);
}

Task<Verdict> AccessCheck::defer_unauth_destination(const Rule& rule)
{
    Verdict verdict = co_await reject_unauth_destination(rule);
    if (!verdict.refused() || verdict.reply().code < 500)
        co_return verdict;
    co_return Verdict(Reply(454, "4.7.1", verdict.reply().lines));
}

// Of the first releases: what is not ours is refused, what is ours is permitted.
Task<Verdict> AccessCheck::check_relay_domains(const Rule& rule)
{
    Verdict verdict = co_await reject_unauth_destination(rule);
    co_return verdict.refused() ? verdict : Verdict::permit();
}

// We are one of the domain's mail exchangers, and not the first.
Task<Verdict> AccessCheck::permit_mx_backup(const Rule&)
{
    if (!subject_.recipient)
        co_return Verdict();
    const auto resolved = co_await resolve(*subject_.recipient);
    if (!resolved)
        co_return look_up_failed(*subject_.recipient, resolved.error().context);
    if (policy_.is_authorized(*resolved))
        co_return Verdict::permit();
    const AddressParts parts = split_address(resolved->recipient);
    if (parts.local.find('@') != parts.local.npos || !parts.has_domain || is_domain_literal(parts.domain))
        co_return Verdict();
    const std::string domain(parts.domain);
    const MxBackup backup = co_await policy_.find_mx_backup(domain);
    if (backup == MxBackup::yes)
        co_return Verdict::permit();
    if (backup == MxBackup::unknown) {
        const Verdict later = refusal(450, "4.4.4", "Unable to look up mail exchanger hosts for " + domain);
        co_return tempfail(policy_.params().tempfail_action(), later);
    }
    co_return Verdict();
}

Task<Verdict> AccessCheck::reject_unlisted_recipient(const Rule&)
{
    co_return co_await recipient_is_listed();
}

Task<Verdict> AccessCheck::recipient_is_listed()
{
    if (!subject_.recipient)
        co_return Verdict();
    co_return co_await is_listed(*subject_.recipient, false);
}

Task<Verdict> AccessCheck::reject_unlisted_sender(const Rule&)
{
    co_return co_await sender_is_listed();
}

Task<Verdict> AccessCheck::sender_is_listed()
{
    if (!subject_.sender || subject_.sender->empty())
        co_return Verdict();
    co_return co_await is_listed(*subject_.sender, true);
}

Task<Verdict> AccessCheck::is_listed(std::string_view address, bool is_sender)
{
    const auto resolved = co_await resolve(address);
    if (!resolved)
        co_return look_up_failed(address, resolved.error().context);
    const Listing listing = co_await policy_.listing_of(*resolved);
    if (!listing.failure.empty())
        co_return look_up_failed(address, listing.failure);
    if (listing.listed)
        co_return Verdict();
    const std::string who = rejected(is_sender ? Part::sender : Part::recipient);
    const std::string_view unknown = is_sender ? "5.1.0" : "5.1.1";
    co_return refusal(listing.code, listing.status.empty() ? unknown : listing.status,
                      fmt::format("{}: {}", who, listing.reason));
}

Task<Verdict> AccessCheck::reject_non_fqdn_address(const Rule& rule)
{
    const Part part = rule.what->part;
    const auto address = name_of(part);
    if (!address || address->empty())
        co_return Verdict();
    const AddressParts parts = split_address(*address);
    if (parts.has_domain && is_fully_qualified(parts.domain))
        co_return Verdict();
    co_return refusal(policy_.params().non_fqdn_code(), "5.5.2",
                      rejected(part) + ": need fully-qualified address");
}

// Domains that mail cannot go to; our own ones are not looked up.
Task<Verdict> AccessCheck::reject_unknown_domain(const Rule& rule)
{
    const Part part = rule.what->part;
    const auto address = name_of(part);
    if (!address || address->empty() || policy_.resolver() == nullptr)
        co_return Verdict();
    const auto resolved = co_await resolve(*address);
    if (!resolved)
        co_return look_up_failed(*address, resolved.error().context);
    using Class = ipc::AddressClass;
    const AddressParts parts = split_address(resolved->recipient);
    const bool elsewhere = resolved->address_class == Class::other || resolved->address_class == Class::relay;
    if (!elsewhere || !parts.has_domain || is_domain_literal(parts.domain))
        co_return Verdict();
    const bool sender = part == Part::sender;
    const std::string domain(parts.domain);
    const DomainFound found = co_await policy_.find_domain(domain);
    if (found == DomainFound::yes)
        co_return Verdict();
    if (found == DomainFound::no_mail) // RFC 7505, 4.2
        co_return refusal(sender ? 550 : 556, sender ? "5.7.27" : "5.1.10",
                          fmt::format("{}: Domain {} does not accept mail (nullMX)", rejected(part), domain));
    const std::string text = rejected(part) + ": Domain not found";
    const std::string_view status = sender ? "5.1.8" : "5.1.2";
    if (found == DomainFound::no)
        co_return refusal(policy_.params().unknown_address_code(), status, text);
    const Verdict later = refusal(450, status, text);
    co_return tempfail(policy_.params().unknown_address_tempfail(), later);
}

// Addresses that a probe has found to be undeliverable, or not yet found to be deliverable.
Task<Verdict> AccessCheck::reject_unverified(const Rule& rule)
{
    const SmtpdParams& params = policy_.params();
    const Part part = rule.what->part;
    const auto address = name_of(part);
    if (!address || address->empty())
        co_return Verdict();
    std::string asked(*address);
    const auto canonical = co_await policy_.rewriter().rewrite(ipc::RewriteContext::local, asked);
    if (!canonical)
        co_return look_up_failed(*address, canonical.error().context);
    const auto known = co_await ipc::verify_address(policy_.verify(), *canonical, params.probe_polls(),
                                                    params.probe_poll_delay());
    ipc::AddressVerdict verdict;
    if (known)
        verdict = *known;
    else
        log::warn(fmt::format("{}: address verify service failure: {}", *address, known.error().context));
    if (verdict.state == ipc::AddressState::deliverable)
        co_return Verdict();
    const bool sender = part == Part::sender;
    const bool final = verdict.state == ipc::AddressState::undeliverable;
    if (!known)
        verdict.text = "Address verification problem";
    else if (verdict.state == ipc::AddressState::pending)
        verdict.text = "Address verification in progress";
    const std::string& own =
        sender ? params.unverified_sender_reason() : params.unverified_recipient_reason();
    const int final_code = sender ? params.unverified_sender_code() : params.unverified_recipient_code();
    const int code =
        final ? final_code
              : (sender ? params.unverified_sender_defer_code() : params.unverified_recipient_defer_code());
    // Whether the client may try again decides the word.
    const std::string_view what = code >= 500 ? "undeliverable" : "unverified";
    const std::string text = final && !own.empty()
                                 ? fmt::format("{}: {}", rejected(part), own)
                                 : fmt::format("{}: {} address: {}", rejected(part), what, verdict.text);
    const std::string_view status = sender ? "5.1.7" : "5.1.1";
    const Verdict later = refusal(code, status, text);
    if (final)
        co_return later;
    co_return tempfail(sender ? params.unverified_sender_tempfail() : params.unverified_recipient_tempfail(),
                       later);
}

// No honest notice has two recipients.
Task<Verdict> AccessCheck::reject_multi_recipient_bounce(const Rule&)
{
    const int count = subject_.recipients + (subject_.stage == "RCPT" ? 1 : 0);
    if (!subject_.sender || !subject_.sender->empty() || count < 2)
        co_return Verdict();
    co_return generic(policy_.params().multi_bounce_code(), "5.5.3", "Multi-recipient bounce");
}

} // namespace bulkhead
