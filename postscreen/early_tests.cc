#include "early_tests.h"

#include "log/log.h"
#include "table/ask.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace bulkhead
{

Task<> EarlyTests::run()
{
    const SteadyTime begun = SteadyClock::now();
    const SteadyTime end = begun + service_.pace().greet_wait;
    std::shared_ptr<Questions> questions;
    if (candidate_.due.has(Test::dnsbl))
        questions = ask_lists();
    if (candidate_.due.has(Test::pregreet))
        co_await watch_client(end);
    if (!questions || candidate_.closing)
        co_return;
    const SteadyTime last = std::min(end, begun + service_.params.dnsbl_timeout());
    co_await wait_for_answers(questions, last);
    co_await judge_score(questions);
}

std::shared_ptr<EarlyTests::Questions> EarlyTests::ask_lists() const
{
    auto questions = std::make_shared<Questions>(service_.sites);
    questions->open = service_.domains.size();
    service_.open_questions += questions->open;
    for (const std::string& domain : service_.domains)
        service_.lookups.spawn(ask_list, &service_, questions, candidate_.ends.client_address, domain);
    return questions;
}

Task<> EarlyTests::ask_list(ScreenService* service, std::shared_ptr<Questions> questions, std::string address,
                            std::string domain)
{
    const auto client = SocketAddress::parse(address);
    if (client) {
        const std::string question = reversed_address(*client) + '.' + domain;
        const auto answer = co_await service->resolver->a(question);
        const bool failed = answer.status == dns::Status::temporary || answer.status == dns::Status::bogus;
        if (failed)
            log::warn(
                fmt::format("lookup error for DNS query {}: Host or domain name not found. Name service "
                            "error for name={} type=A: Host not found, try again",
                            question, question));
        for (const SocketAddress& record : answer.records)
            log::info(fmt::format("addr {} listed by domain {} as {}", address, domain, record.text()));
        const std::int64_t shortest = service->params.dnsbl_min_ttl().count();
        const std::int64_t longest = std::max(shortest, service->params.dnsbl_max_ttl().count());
        const std::int64_t ttl = failed ? shortest : std::clamp<std::int64_t>(answer.ttl, shortest, longest);
        questions->score.add(domain, answer.records, ttl);
    }
    --questions->open;
    questions->answered.notify_all();
    if (--service->open_questions == 0 && service->question_answered)
        service->question_answered();
}

// The teaser makes zombies talk that wait for the first line only.  Whatever comes stays in the
// socket for the dialogue.
Task<> EarlyTests::watch_client(SteadyTime end)
{
    const std::string& teaser = service_.params.greet_banner();
    if (!teaser.empty()) {
        stream_.write(fmt::format("220-{}\r\n", teaser));
        (void)co_await stream_.flush();
    }
    stream_.set_deadline(end);
    const auto seen = co_await stream_.see(1);
    stream_.clear_deadline();
    if (!seen && seen.error().fault == Fault::timeout) {
        candidate_.pass(Test::pregreet, WallTime::now().seconds + service_.params.greet_ttl().count());
        co_return;
    }
    std::array<char, 1024> room;
    const std::size_t size = seen ? stream_.peek(room) : 0;
    if (size == 0) {
        log::info(fmt::format("HANGUP after {} from {} in tests before SMTP handshake", candidate_.elapsed(),
                              candidate_.label()));
        candidate_.closing = candidate_.gone = true;
        co_return;
    }
    judge_early_talker(std::string_view(room.data(), size));
}

void EarlyTests::judge_early_talker(std::string_view bytes)
{
    candidate_.fail(Test::pregreet);
    log::info(fmt::format("PREGREET {} after {} from {}: {}", bytes.size(), candidate_.elapsed(),
                          candidate_.label(), escaped(bytes)));
    if (service_.pregreet == Action::ignore)
        return;
    candidate_.closing = service_.pregreet == Action::drop;
    candidate_.refuse(Reply(candidate_.closing ? 521 : 550, "5.5.1", "Protocol error"));
}

Task<> EarlyTests::wait_for_answers(std::shared_ptr<Questions> questions, SteadyTime end)
{
    while (questions->open > 0) {
        const auto rest = std::chrono::ceil<Milliseconds>(end - SteadyClock::now());
        if (rest.count() <= 0)
            co_return;
        (void)co_await questions->answered.wait_for(rest);
    }
}

Task<> EarlyTests::judge_score(std::shared_ptr<Questions> questions)
{
    const Score& score = questions->score;
    const int total = score.total();
    const std::int64_t until =
        WallTime::now().seconds + score.ttl().value_or(service_.params.dnsbl_min_ttl().count());
    if (total < service_.params.dnsbl_threshold()) {
        candidate_.pass(Test::dnsbl, until);
        const int welcome = service_.params.dnsbl_allowlist_threshold();
        if (welcome < 0 && total <= welcome && !candidate_.failed)
            skip_other_tests(until);
        co_return;
    }
    log::info(fmt::format("DNSBL rank {} for {}", total, candidate_.label()));
    candidate_.fail(Test::dnsbl);
    if (service_.dnsbl != Action::ignore)
        co_await refuse_listed(score.worst());
}

Task<> EarlyTests::refuse_listed(std::string domain)
{
    TableList& replies = service_.dnsbl_replies;
    const auto find = [&] { return replies.find(domain); };
    const Lookup shown = co_await ask(replies.may_block(), find);
    if (shown.is_broken())
        log::warn("postscreen_dnsbl_reply_map: " + shown.reason());
    const std::string text =
        fmt::format("Service unavailable; client [{}] blocked using {}", candidate_.ends.client_address,
                    shown.is_found() ? shown.value() : domain);
    candidate_.closing = service_.dnsbl == Action::drop;
    candidate_.refuse(Reply(candidate_.closing ? 521 : 550, "5.7.1", text));
}

// Also those that are not enabled now: enabling one must not keep out who is welcome.
void EarlyTests::skip_other_tests(std::int64_t until)
{
    for (std::size_t i = 0; i < test_count; ++i)
        candidate_.pass(static_cast<Test>(i), until);
}

} // namespace bulkhead
