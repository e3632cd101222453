#include "verify.h"

#include "async/offload.h"
#include "base/text.h"
#include "ipc/cleanup.h"
#include "log/log.h"
#include "mail/address.h"
#include "mail/date.h"
#include "mail/probe.h"
#include "spool/envelope.h"
#include "spool/record.h"

#include <algorithm>

#include <fmt/format.h>

namespace bulkhead
{

namespace
{

constexpr Seconds first_cleaning{10};       // after the start
constexpr Seconds longest_pause{24 * 3600}; // of a timer; the interval is looked at then
constexpr std::size_t address_limit = 500;  // bytes: LMDB takes keys of 511

// Domains are the same in any case, local parts are not (RFC 5321, 2.4).
std::string cache_key(std::string address)
{
    const auto at = address.rfind('@');
    if (at != address.npos)
        std::ranges::transform(address.begin() + static_cast<std::ptrdiff_t>(at), address.end(),
                               address.begin() + static_cast<std::ptrdiff_t>(at), ascii_lower);
    return address;
}

} // namespace

std::string probe_sender(std::string_view configured, std::string_view myorigin, std::int64_t ttl,
                         std::int64_t now)
{
    if (configured.empty() || configured == "<>")
        return {};
    const AddressParts parts = split_address(configured);
    const std::string tail = ttl > 0 ? fmt::format("{:x}", now / ttl) : "";
    return fmt::format("{}{}@{}", parts.local, tail, parts.has_domain ? parts.domain : myorigin);
}

Verify::Verify() : clean_timer_([this] { scope_.spawn(clean, this); }) {}

Result<> Verify::before_jail()
{
    times_ = {params_.positive_refresh().count(), params_.positive_expire().count(),
              params_.negative_refresh().count(), params_.negative_expire().count()};
    auto cache = ProbeCache::open(params_.map());
    if (!cache)
        return Error{Fault::config, fmt::format("{}: address_verify_map: {}",
                                                config().place("address_verify_map"), cache.error().context)};
    cache_ = std::move(*cache);
    cleanup_.emplace("public/" + params_.cleanup_service(), common().ipc_timeout());
    return {};
}

Result<> Verify::after_jail()
{
    if (params_.cleanup_interval().count() > 0)
        clean_timer_.start(first_cleaning);
    return {};
}

Task<ipc::Message> Verify::answer(const ipc::Message& request)
{
    Result<> done = Error{Fault::malformed,
                          fmt::format("unexpected request of kind {}", static_cast<int>(request.kind()))};
    if (request.kind() == ipc::Kind::verify_query) {
        auto address = ipc::decode_verify_query(request);
        if (address) {
            const auto verdict = co_await query(std::move(*address));
            if (verdict)
                co_return encode(*verdict);
            done = verdict.error();
        } else {
            done = address.error();
        }
    } else if (request.kind() == ipc::Kind::verify_update) {
        auto result = ipc::decode_verify_update(request);
        if (result)
            done = co_await update(std::move(*result));
        else
            done = result.error();
    }
    if (done)
        co_return ipc::Message(ipc::Kind::ok);
    log::warn(fmt::format("{} request failed: {}", service_name(), done.error().context));
    co_return ipc::failure(done.error().context);
}

// The probe's date is in the cache before the probe is on its way: its result, which may
// come at once, waits for its turn and finds it there.
Task<Result<ipc::AddressVerdict>> Verify::query(std::string address)
{
    if (address.empty() || address.size() > address_limit)
        co_return Error(Fault::malformed, "address that cannot be verified");
    const std::string key = cache_key(address);
    const auto turn = co_await addresses_.acquire(key);
    const auto look = [this, &key] { return cache_->find(key); };
    CO_TRY(KnownAddress known, co_await offload(look));
    const std::int64_t now = WallTime::now().seconds;
    ipc::AddressVerdict verdict = verdict_on(known, now, times_);
    const bool negative =
        verdict.state == ipc::AddressState::deferred || verdict.state == ipc::AddressState::undeliverable;
    if (negative && !params_.negative_cache()) { // told once
        const auto forget = [this, &key] { return cache_->remove(key); };
        CO_TRY_VOID(co_await offload(forget));
        co_return std::move(verdict);
    }
    if (!wants_probe(known, now, times_) || is_draining())
        co_return std::move(verdict);

    const KnownAddress before = known;
    known.probed = now;
    const auto keep = [this, &key, &known] { return cache_->store(key, known); };
    CO_TRY_VOID(co_await offload(keep));
    const auto sent = co_await send_probe(std::move(address));
    if (!sent) {
        log::warn(fmt::format("probe for {} not sent: {}", printable(key, true), sent.error().context));
        const auto restore = [this, &key, &before] { return cache_->store(key, before); };
        CO_TRY_VOID(co_await offload(restore));
    }
    co_return std::move(verdict);
}

Task<Result<>> Verify::update(ipc::VerifyUpdate update)
{
    if (update.address.empty() || update.address.size() > address_limit)
        co_return Error(Fault::malformed, "result for an address that cannot be verified");
    const std::string key = cache_key(std::move(update.address));
    const auto turn = co_await addresses_.acquire(key);
    const auto change = [this, &key, &update]() -> Result<> {
        TRY(KnownAddress known, cache_->find(key));
        const std::int64_t now = WallTime::now().seconds;
        return cache_->store(key, with_result(std::move(known), update.verdict, now, times_));
    };
    co_return co_await offload(change);
}

std::string Verify::probe_records(const std::string& address, std::int64_t now) const
{
    std::string records;
    append_record(records, RecordType::arrival_time, fmt::format("{} 0", now));
    append_attribute(records, "rewrite_context", "local");
    append_attribute(records, "trace_flags", std::to_string(trace_flag::probe));
    append_attribute(records, probe_attribute, address);
    append_record(records, RecordType::sender,
                  probe_sender(params_.sender(), params_.myorigin(), params_.sender_ttl().count(), now));
    append_attribute(records, "encoding", "7bit");
    append_record(records, RecordType::original_recipient, address);
    append_record(records, RecordType::recipient, address);
    append_record(records, RecordType::message_start, "");
    append_text(records, "Subject: probe");
    append_text(records, "");
    append_record(records, RecordType::extracted_start, "");
    append_record(records, RecordType::end, "");
    return records;
}

Task<Result<>> Verify::send_probe(std::string address)
{
    using namespace ipc::cleanup_flag;
    unsigned flags = internal | map_addresses | rewrite_local;
    const auto& classes = params_.utf8_classes();
    if (has_8bit(address) && std::ranges::any_of(classes, [](const std::string& name) {
            return equals_ignoring_case(name, "verify") || equals_ignoring_case(name, "all");
        }))
        flags |= smtputf8;
    CO_TRY(ipc::CleanupStream stream, co_await ipc::CleanupStream::open(*cleanup_, flags));
    stream.records() += probe_records(address, WallTime::now().seconds);
    CO_TRY(const ipc::CleanupResult result, co_await stream.finish());
    if (!result.ok()) {
        const ipc::CleanupVerdict why = verdict_of(result);
        co_return Error(Fault::refused, result.reason.empty() ? std::string(why.text) : result.reason);
    }
    co_return Result<>();
}

Task<> Verify::clean(Verify* self)
{
    const std::int64_t interval = self->params_.cleanup_interval().count();
    const auto sweep = [self, interval] {
        return self->cache_->clean(WallTime::now().seconds, interval, self->times_);
    };
    const auto removed = co_await offload(sweep);
    if (!removed)
        log::warn("cache cleanup: " + removed.error().context);
    else if (*removed && **removed > 0)
        log::info(fmt::format("cache {} full cleanup: dropped={} entries", self->params_.map(), **removed));
    self->clean_later();
    self->activity_changed();
}

void Verify::clean_later()
{
    if (!is_draining())
        clean_timer_.start(std::min<Seconds>(params_.cleanup_interval(), longest_pause));
}

} // namespace bulkhead
