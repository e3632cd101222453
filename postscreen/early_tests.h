// The tests before the greeting: does the client wait for its turn, and what do lists of the DNS
// say of it.  Both use the same time.
#pragma once

#include "candidate.h"
#include "score.h"
#include "service.h"

#include "async/stream.h"
#include "async/task.h"
#include "async/wait.h"

#include <memory>
#include <string>

namespace bulkhead
{

class EarlyTests
{
public:
    EarlyTests(Stream& client, ScreenService& service, Candidate& candidate)
        : stream_(client), service_(service), candidate_(candidate)
    {
    }

    Task<> run();

private:
    // Shared: the answers may come when the client has gone, and the client may wait for none.
    struct Questions {
        explicit Questions(const std::vector<DnsSite>& sites) : score(sites) {}
        Score score;
        std::size_t open = 0;
        Condition answered;
    };
    std::shared_ptr<Questions> ask_lists() const;
    static Task<> ask_list(ScreenService* service, std::shared_ptr<Questions> questions, std::string address,
                           std::string domain);
    Task<> watch_client(SteadyTime end);
    void judge_early_talker(std::string_view bytes);
    static Task<> wait_for_answers(std::shared_ptr<Questions> questions, SteadyTime end);
    Task<> judge_score(std::shared_ptr<Questions> questions);
    Task<> refuse_listed(std::string domain);
    void skip_other_tests(std::int64_t until);

    Stream& stream_;
    ScreenService& service_;
    Candidate& candidate_;
};

} // namespace bulkhead
