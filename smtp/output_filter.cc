#include "output_filter.h"

#include "base/text.h"
#include "config/values.h"
#include "mail/address.h"
#include "mail/addrlist.h"
#include "mail/header.h"
#include "table/address_lookup.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace bulkhead
{

namespace
{

constexpr std::size_t max_log_lines = 100; // of one message

// Headers with addresses (RFC 5322, 3.6.2, 3.6.3 and 3.6.6).
constexpr std::array<std::string_view, 17> address_headers = {"from",
                                                              "sender",
                                                              "reply-to",
                                                              "to",
                                                              "cc",
                                                              "bcc",
                                                              "resent-from",
                                                              "resent-sender",
                                                              "resent-reply-to",
                                                              "resent-to",
                                                              "resent-cc",
                                                              "resent-bcc",
                                                              "errors-to",
                                                              "return-receipt-to",
                                                              "disposition-notification-to",
                                                              "mail-followup-to",
                                                              "apparently-to"};

} // namespace

Result<OutputPolicy> OutputPolicy::open(const SmtpParams& params)
{
    OutputPolicy policy;
    ContentChecks::Specs specs;
    specs.header = params.header_checks();
    specs.mime = params.mime_header_checks();
    specs.nested = params.nested_header_checks();
    specs.body = params.body_checks();
    specs.prefix = params.is_lmtp() ? "lmtp_" : "smtp_";
    specs.allowed = delivery_check_actions;
    policy.checks_ = ContentChecks::open(specs);
    policy.generic_ = TableList::open(params.generic_maps());
    policy.options_.header_limit = static_cast<std::size_t>(params.header_size_limit());
    policy.options_.uses_mime = !params.disable_mime();
    policy.options_.mime.nesting = static_cast<std::size_t>(params.mime_nesting_limit());
    policy.options_.mime.boundary = static_cast<std::size_t>(params.mime_boundary_limit());
    policy.options_.mime.header = policy.options_.header_limit;
    policy.address_limit_ = static_cast<std::size_t>(params.header_address_limit());
    if (policy.generic_.empty())
        return policy;
    LocalDomains::Settings settings{params.mydestination(), parse_list(params.inet_interfaces()),
                                    parse_list(params.proxy_interfaces())};
    TRY(policy.local_, LocalDomains::open(settings));
    policy.myorigin_ = params.myorigin();
    policy.delimiter_ = params.recipient_delimiter();
    const auto& names = params.propagate_extensions();
    policy.keeps_extension_ = std::ranges::find(names, "generic") != names.end();
    return policy;
}

Result<std::string> OutputPolicy::generic(const std::string& address)
{
    if (address.empty())
        return address;
    AddressKeyOptions options;
    options.recipient_delimiter = delimiter_;
    std::string failure;
    options.is_local = [&](std::string_view domain) {
        const ListMatch local = local_.contains(domain);
        if (local.is_broken())
            failure = local.reason;
        return static_cast<bool>(local) || equals_ignoring_case(domain, myorigin_);
    };
    AddressKey matched;
    const Lookup found = find_first(generic_, mapping_keys(address, options), &matched);
    if (found.is_broken() || !failure.empty())
        return Error{Fault::broken, fmt::format("smtp_generic_maps map lookup problem for {}: {}", address,
                                                found.is_broken() ? found.reason() : failure)};
    if (found.is_absent())
        return address;
    std::string value(trim(found.value()));
    if (value.starts_with('@'))
        return std::string(split_address(address).local) + value;
    auto internal = unquote(value);
    if (internal)
        value = *std::move(internal);
    if (value.find('@') == value.npos)
        value += '@' + myorigin_;
    return keeps_extension_ && !matched.extension.empty() ? with_extension(value, matched.extension) : value;
}

OutputFilter::OutputFilter(OutputPolicy& policy)
    : policy_(policy), inspector_(policy.checks_, policy.options_)
{
    ContentInspector::HeaderHook hook;
    if (policy.has_generic())
        hook = [this](std::string& raw) { map_addresses(raw); };
    inspector_.expect_headers(std::move(hook));
}

void OutputFilter::map_addresses(std::string& raw)
{
    const std::string_view name = header_field_name(raw);
    if (std::ranges::none_of(address_headers,
                             [&](std::string_view one) { return equals_ignoring_case(one, name); }))
        return;
    const std::size_t begin = raw.find(':') + 1;
    const std::string_view body = std::string_view(raw).substr(begin);
    AddressListLimits limits;
    limits.addresses = policy_.address_limit_;
    const auto list = parse_address_list(body, limits);
    if (!list)
        return;
    std::string changed;
    std::size_t done = 0;
    for (const ListedAddress& one : list->addresses) {
        if (one.address.empty())
            continue;
        const auto mapped = policy_.generic(one.address);
        if (!mapped) {
            failure_ = mapped.error().context;
            return;
        }
        if (*mapped == one.address)
            continue;
        changed.append(body, done, one.begin - done);
        changed += external_form(*mapped);
        done = one.end;
    }
    if (!changed.empty())
        raw = raw.substr(0, begin) + changed + std::string(body.substr(done));
}

Result<> OutputFilter::collect()
{
    for (const Finding& finding : inspector_.take_findings()) {
        if (finding.action == CheckAction::broken)
            failure_ = fmt::format("{} map lookup problem: {}", finding.table, finding.text);
        if (log_.size() >= max_log_lines || finding.action == CheckAction::ignore)
            continue;
        if (finding.action == CheckAction::unknown)
            log_.push_back(fmt::format("warning: unknown command in {} map: {}", finding.table,
                                       printable(finding.text)));
        else if (finding.action != CheckAction::broken)
            log_.push_back(fmt::format("{}: {} {}{}{}", log_word(finding.action),
                                       finding.in_header ? "header" : "body",
                                       printable(finding.subject, true), finding.text.empty() ? "" : ": ",
                                       printable(finding.text, true)));
    }
    if (!failure_.empty())
        return Error{Fault::broken, failure_};
    return {};
}

Result<> OutputFilter::line(std::string_view text, bool complete, std::string& out)
{
    inspector_.line(text, complete, out);
    return collect();
}

Result<> OutputFilter::finish(std::string& out)
{
    inspector_.finish(out);
    return collect();
}

std::vector<std::string> OutputFilter::take_log()
{
    return std::exchange(log_, {});
}

} // namespace bulkhead
