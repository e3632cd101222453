// postlogd: the only process of an environment that writes maillog_file.  Takes
// the others' lines as datagrams, knows nothing of what they say.
#pragma once

#include "datagrams.h"
#include "log_file.h"

#include "async/loop.h"
#include "worker/worker.h"

namespace bulkhead
{

class Postlogd final : public Worker
{
public:
    Postlogd();

    ParamSet& params() override { return params_; }
    Result<> before_jail() override;
    void datagrams(int fd) override;
    bool is_idle() const override { return !busy_ || is_draining(); }

    // The hand-run form: lines on standard input.
    Task<> serve(Session& session) override;

private:
    void append(std::span<iovec> pieces);
    void report_lost();
    void saw_traffic();
    void quiet_time_over();

    ParamSet params_; // maillog_file and its kin are everybody's
    DatagramReader reader_;
    LogFile file_;
    Timer quiet_timer_;
    bool busy_ = false;           // lines came lately: the worker stays
    bool traffic_ = false;        // since the timer started
    SteadyTime next_complaint_{}; // about lost lines
    SteadyTime last_arrival_{};
};

} // namespace bulkhead
