// The envelope of a message in the making: addresses completed and mapped,
// recipients expanded, records in the order that queue files have.
#include "assembler.h"

#include "base/text.h"
#include "log/log.h"
#include "mail/address.h"
#include "table/ask.h"

#include <fmt/format.h>

#include <algorithm>

namespace bulkhead
{

using ipc::RewriteContext;

static constexpr std::string_view try_later = "message not accepted, try again later";

Task<Mapped> Assembler::look_up(std::function<Mapped()> question)
{
    Mapped mapped = co_await ask(policy_.maps.may_block(), std::move(question));
    if (!mapped.reason.empty())
        log::warn(fmt::format("{}: {}", queue_id_, mapped.reason));
    co_return mapped;
}

Task<Result<std::string>> Assembler::mapped_address(AddressRole role, RewriteContext context,
                                                    std::string address)
{
    CO_TRY(std::string complete, co_await policy_.completer.complete(context, std::move(address)));
    if (!has(ipc::cleanup_flag::map_addresses))
        co_return complete;
    const int steps = policy_.maps.has_canonical(role) ? AddressMaps::canonical_steps : 0;
    for (int step = 0; step < steps; ++step) {
        const auto map = [&] { return policy_.maps.canonical(role, step, complete); };
        Mapped mapped = co_await look_up(map);
        if (mapped.is_broken())
            co_return Error(Fault::broken, std::move(mapped.fault));
        if (!mapped.is_found())
            continue;
        auto completed =
            co_await policy_.completer.complete(RewriteContext::local, std::move(mapped.addresses.front()));
        if (!completed)
            co_return completed.error();
        complete = *std::move(completed);
    }
    if (!policy_.maps.has_masquerade(role))
        co_return complete;
    const auto masquerade = [&] { return policy_.maps.masquerade(complete); };
    auto masked = co_await ask(policy_.maps.may_block(), masquerade);
    co_return masked;
}

Task<> Assembler::finish_envelope()
{
    if (!sender_.empty()) {
        auto mapped = co_await mapped_address(AddressRole::envelope_sender, RewriteContext::local, sender_);
        if (!mapped) {
            refuse(ipc::cleanup_status::temporary, {}, {},
                   fmt::format("{} -- {}", mapped.error().context, try_later));
            co_return;
        }
        sender_ = *std::move(mapped);
    }
    write_head();
    co_await write_groups();
    if (has(ipc::cleanup_flag::map_addresses) && stage_ != Stage::refused) {
        std::vector<std::string> copies = split_addresses(params_.always_bcc());
        const auto find_copies = [&] { return policy_.maps.sender_bcc(sender_); };
        Mapped by_sender = co_await look_up(find_copies);
        if (by_sender.is_broken())
            refuse(ipc::cleanup_status::temporary, {}, {},
                   fmt::format("{} -- {}", by_sender.fault, try_later));
        std::ranges::move(by_sender.addresses, std::back_inserter(copies));
        for (const std::string& copy : copies)
            co_await write_copies(copy);
    }
    append_record(out_, RecordType::message_start, {});
    sizes_.data_offset = position();
    edit_points_.content = position();
    if (is_editable_)
        append_fixed_number(out_, RecordType::pointer, 0);
    if (stage_ != Stage::refused)
        stage_ = Stage::headers;
}

void Assembler::write_head()
{
    const bool local = has(ipc::cleanup_flag::rewrite_local);
    append_size_record(out_, {});
    append_record(out_, RecordType::arrival_time,
                  fmt::format("{} {}", arrival_.seconds, arrival_.microseconds));
    append_attribute(out_, "create_time", fmt::format("{}", now_.seconds));
    out_ += head_;
    if (!has_context_)
        append_attribute(out_, "rewrite_context", local ? "local" : "remote");
    if (!full_name_.empty())
        append_record(out_, RecordType::full_name, full_name_);
    edit_points_.sender = position();
    if (is_editable_)
        append_fixed_number(out_, RecordType::pointer, 0);
    append_record(out_, RecordType::sender, sender_);
    edit_points_.behind_sender = position();
    if (keeps_facts_)
        facts_ = head_ + tail_;
    out_ += tail_;
    if (params_.delay_warning_time().count() > 0 && !sender_.empty())
        append_fixed_number(out_, RecordType::warn_time,
                            arrival_.seconds + params_.delay_warning_time().count());
    head_.clear();
    tail_.clear();
    if (has(ipc::cleanup_flag::smtputf8))
        sizes_.send_options |=
            send_option::smtputf8_requested | (has_8bit(sender_) ? send_option::smtputf8_sender : 0u);
}

Task<> Assembler::write_groups()
{
    std::vector<Group> groups = std::exchange(groups_, {});
    for (Group& group : groups) {
        if (stage_ == Stage::refused)
            co_return;
        co_await write_recipient(std::move(group), true);
    }
}

Task<> Assembler::write_recipient(Group group, bool with_copies)
{
    auto mapped =
        co_await mapped_address(AddressRole::envelope_recipient, RewriteContext::local, group.address);
    if (!mapped) {
        refuse(ipc::cleanup_status::temporary, {}, {},
               fmt::format("{} -- {}", mapped.error().context, try_later));
        co_return;
    }
    const std::string address = *std::move(mapped);
    if (group.original.empty())
        group.original = group.address;
    if (group.dsn_original.empty()) {
        const bool utf8 = has(ipc::cleanup_flag::smtputf8) && has_8bit(address);
        group.dsn_original = (utf8 ? "utf-8;" : "rfc822;") + external_form(address);
    }
    if (!has(ipc::cleanup_flag::map_addresses)) {
        write_final(group, address);
        co_return;
    }
    const auto finals = co_await expand(address);
    if (!finals) {
        refuse(ipc::cleanup_status::temporary, {}, {},
               fmt::format("{} -- {}", finals.error().context, try_later));
        co_return;
    }
    for (const std::string& final_address : *finals)
        write_final(group, final_address);
    if (!with_copies)
        co_return;
    const auto find_copies = [&] { return policy_.maps.recipient_bcc(address); };
    const Mapped copies = co_await look_up(find_copies);
    if (copies.is_broken())
        refuse(ipc::cleanup_status::temporary, {}, {}, fmt::format("{} -- {}", copies.fault, try_later));
    for (const std::string& copy : copies.addresses)
        co_await write_copies(copy);
}

// One more recipient, once, whose troubles are not the sender's.
Task<> Assembler::write_copies(const std::string& recipient)
{
    if (stage_ == Stage::refused || !copied_.insert(recipient).second)
        co_return;
    Group copy;
    copy.address = recipient;
    copy.notify = notify::never;
    co_await write_recipient(std::move(copy), false);
}

// What virtual_alias_maps make of a recipient.  An address that names itself is final;
// one that comes back to itself by way of others is a mistake that must not lose mail.
Task<Result<std::vector<std::string>>> Assembler::expand(const std::string& recipient)
{
    constexpr std::size_t nobody = static_cast<std::size_t>(-1);
    struct Node {
        std::string address;
        std::size_t parent;
        int depth;
    };
    std::vector<std::string> finals;
    if (!policy_.maps.has_aliases()) {
        finals.push_back(recipient);
        co_return finals;
    }
    std::vector<Node> nodes;
    nodes.push_back({recipient, nobody, 0});
    std::vector<std::size_t> pending(1, 0);
    const auto limit = static_cast<std::size_t>(params_.alias_expansion_limit());
    while (!pending.empty()) {
        const std::size_t at = pending.back();
        pending.pop_back();
        const std::string address = nodes[at].address;
        const auto map = [&] { return policy_.maps.aliases(address); };
        Mapped mapped = co_await look_up(map);
        if (mapped.is_broken())
            co_return Error(Fault::broken, std::move(mapped.fault));
        if (!mapped.is_found()) {
            finals.push_back(address);
            continue;
        }
        std::vector<std::size_t> children;
        for (std::string& one : mapped.addresses) {
            if (one.size() > static_cast<std::size_t>(params_.alias_length_limit()))
                co_return Error(Fault::limit,
                                "unreasonable virtual_alias_maps result length for " + recipient);
            auto completed = co_await policy_.completer.complete(RewriteContext::local, std::move(one));
            if (!completed)
                co_return completed.error();
            if (equals_ignoring_case(*completed, address)) {
                finals.push_back(*std::move(completed));
                continue;
            }
            for (std::size_t above = nodes[at].parent; above != nobody; above = nodes[above].parent)
                if (equals_ignoring_case(nodes[above].address, *completed))
                    co_return Error(Fault::limit, "virtual_alias_maps loop for " + recipient);
            children.push_back(nodes.size());
            nodes.push_back({*std::move(completed), at, nodes[at].depth + 1});
        }
        if (!children.empty() && nodes[at].depth >= params_.alias_recursion_limit())
            co_return Error(Fault::limit, "unreasonable virtual_alias_maps map nesting for " + recipient);
        if (finals.size() + pending.size() + children.size() > limit || nodes.size() > 10 * limit + 100)
            co_return Error(Fault::limit,
                            "unreasonable virtual_alias_maps map expansion size for " + recipient);
        pending.insert(pending.end(), children.rbegin(), children.rend());
    }
    co_return finals;
}

bool Assembler::is_new(const Group& group, const std::string& address)
{
    std::string key = lower(address);
    if (params_.enable_original_recipient())
        key += fmt::format("\n{}\n{}\n{}", group.original, group.notify, group.dsn_original);
    const auto limit = static_cast<std::size_t>(params_.duplicate_limit());
    if (limit > 0 && seen_.size() >= limit)
        return !seen_.contains(key);
    return seen_.insert(std::move(key)).second;
}

void Assembler::write_final(const Group& group, const std::string& address)
{
    if (address.empty() || !is_new(group, address))
        return;
    if (group.notify != 0)
        append_attribute(out_, "notify_flags", fmt::format("{}", group.notify));
    append_attribute(out_, "dsn_orig_rcpt", group.dsn_original);
    append_record(out_, RecordType::original_recipient, group.original);
    if (has(ipc::cleanup_flag::bounce_errors) || is_editable_)
        written_.push_back({position(), address, group.original, group.dsn_original, group.notify});
    append_record(out_, RecordType::recipient, address);
    ++sizes_.recipients;
    sizes_.qmgr_flags |= group.notify << qmgr_flag::notify_shift;
}

Task<> Assembler::finish_extracted()
{
    if (!redirect_.empty())
        append_record(out_, RecordType::redirect, redirect_);
    if (!filter_.empty())
        append_record(out_, RecordType::filter, filter_);
    out_ += extracted_;
    if (!encoding_.empty())
        append_attribute(out_, "encoding", encoding_);
    co_await write_groups();
    const std::vector<std::string> copies = std::exchange(late_copies_, {});
    for (const std::string& copy : copies)
        co_await write_copies(copy);
    if (stage_ == Stage::refused)
        co_return;
    if (sizes_.recipients == 0) {
        refuse(ipc::cleanup_status::no_recipient, {}, {}, "message rejected: no recipients");
        co_return;
    }
    edit_points_.end = position();
    if (is_editable_)
        append_fixed_number(out_, RecordType::pointer, 0);
    append_record(out_, RecordType::end, {});
    stage_ = Stage::done;
}

// A recipient of a milter's: as the others, but its records are for another place.
Task<Result<std::string>> Assembler::late_recipient(std::string address)
{
    const std::string kept = std::exchange(out_, {});
    const std::int64_t kept_taken = taken_;
    Group group;
    group.address = std::move(address);
    co_await write_recipient(std::move(group), false);
    std::string made = std::exchange(out_, kept);
    taken_ = kept_taken;
    if (!result_.ok())
        co_return Error(Fault::broken, "recipient not added");
    co_return made;
}

} // namespace bulkhead
