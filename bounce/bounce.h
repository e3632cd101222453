// bounce, defer and trace, one program: keeps what became of each recipient, and
// makes notices of it.  A notice is a new message for cleanup; the log goes when
// that message is durable, so a crash between may repeat a notice, never lose one.
#pragma once

#include "params.h"
#include "report.h"
#include "rules.h"

#include "async/key_lock.h"
#include "ipc/bounce.h"
#include "ipc/channel.h"
#include "mail/delivery_notice.h"
#include "worker/message_worker.h"

#include <array>
#include <optional>
#include <string>

namespace bulkhead
{

class Bounce final : public MessageWorker
{
public:
    ParamSet& params() override { return params_; }
    Result<> before_jail() override;
    Result<> after_jail() override;

protected:
    Task<ipc::Message> answer(const ipc::Message& request) override;

private:
    void read_texts_or_warn();
    Result<> read_texts();
    Task<Result<>> append(ipc::BounceAppend request);
    Task<Result<>> flush(ipc::BounceFlush request);
    Task<Result<>> flush_alone(const ipc::BounceFlush& request);
    Task<Result<>> send_all(const ipc::BounceFlush& request, const Report& report, const NoticePlan& plan);
    Task<Result<std::string>> send(const ipc::BounceFlush& request, const Report& report,
                                   const PlannedNotice& planned);
    DeliveryNotice describe(const ipc::BounceFlush& request, const Report& report,
                            const PlannedNotice& planned) const;
    const std::string& postmaster_for(const PlannedNotice& planned) const;
    std::string envelope_records(const PlannedNotice& planned, const DeliveryNotice& notice,
                                 const std::string& new_id) const;

    BounceParams params_;
    NotifyClasses classes_;
    std::array<std::optional<NoticeText>, 4> texts_; // by NoticeKind; nullopt: our own words
    std::string double_bounce_sender_;
    Queue log_ = Queue::bounce;
    unsigned cleanup_flags_ = 0;
    std::optional<Spool> spool_;
    std::optional<ipc::Service> cleanup_;
    KeyLock flushes_; // by queue id
};

} // namespace bulkhead
