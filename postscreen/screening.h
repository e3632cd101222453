// One client, from its connection to the decision: to smtpd, into the dialogue that lets nobody in,
// or away.
#pragma once

#include "candidate.h"
#include "service.h"

#include "async/task.h"
#include "worker/worker.h"

#include <string_view>

namespace bulkhead
{

class Screening
{
public:
    Screening(Session& session, ScreenService& service);
    ~Screening();

    Task<> run();

private:
    Task<> read_proxy_header();
    bool count();
    Task<> judge();
    Task<bool> is_settled_by_list();
    Task<> recall();
    Task<bool> is_vetoed();
    Task<> test();
    Task<> conclude();
    Task<> remember();
    Task<> give_to_smtpd();
    Task<> turn_away(std::string_view why, Reply reply);
    Task<> leave();
    std::string_view shown_list(bool welcome) const;

    Session& session_;
    Stream& stream_;
    ScreenService& service_;
    Candidate candidate_;
    bool counted_ = false;
};

} // namespace bulkhead
