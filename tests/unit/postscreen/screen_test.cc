// Cache entries, which tests are due, the access list and the sums of DNS lists.
#include "access_list.h"
#include "candidate.h"
#include "params.h"
#include "score.h"
#include "screen_cache.h"
#include "service.h"
#include "test_results.h"

#include <gtest/gtest.h>

#include <filesystem>

using namespace bulkhead;
using Kind = bulkhead::Test; // gtest has a Test of its own

namespace
{

TestResults results(std::string_view text)
{
    return parse_test_results(text).value();
}

Tests tests(std::initializer_list<Kind> list)
{
    Tests set;
    for (const Kind test : list)
        set.add(test);
    return set;
}

std::vector<SocketAddress> addresses(std::initializer_list<std::string_view> list)
{
    std::vector<SocketAddress> parsed;
    for (const std::string_view text : list)
        parsed.push_back(SocketAddress::parse(text).value());
    return parsed;
}

std::vector<DnsSite> sites(std::initializer_list<std::string_view> list)
{
    std::vector<DnsSite> parsed;
    for (const std::string_view text : list)
        parsed.push_back(*parse_dns_site(text));
    return parsed;
}

Access decide(const std::vector<std::string>& words, std::string_view address)
{
    const auto list = AccessList::open(words, "192.0.2.0/24");
    EXPECT_TRUE(list) << list.error().context;
    std::string reason;
    return list->find(address, reason);
}

} // namespace

TEST(PostscreenParams, AgreeWithTheTableOfNames)
{
    for (const std::string& line : PostscreenParams().disagreements())
        EXPECT_TRUE(line.starts_with("mynetworks:")) << line; // depends on the machine
}

TEST(TestResults, EntryComesBackAsItWas)
{
    const std::string text = "1795000000;1794900000;0;1;1";
    EXPECT_EQ(entry_text(results(text)), text);
    EXPECT_EQ(results(text)[Kind::pregreet], 1795000000);
    EXPECT_EQ(results(text)[Kind::bare_newline], TestResults::not_tested);
}

TEST(TestResults, RefusesWhatNobodyHasWritten)
{
    for (const std::string_view text : {"", "1;2;3;4", "1;2;3;4;5;6", "1;2;3;4;", "1;2;-3;4;5", "a;b;c;d;e",
                                        "1;2;3;4;99999999999999999999"})
        EXPECT_FALSE(parse_test_results(text)) << text;
}

TEST(TestResults, DueIsWhatIsEnabledAndOver)
{
    const Tests early = tests({Kind::pregreet, Kind::dnsbl});
    EXPECT_EQ(TestResults().due(early, 1000), early);
    EXPECT_EQ(results("2000;2000;0;0;0").due(early, 1000), Tests());
    EXPECT_EQ(results("2000;1000;0;0;0").due(early, 1000), tests({Kind::dnsbl}));
    EXPECT_EQ(results("2000;2000;1;0;0").due(tests({Kind::pregreet, Kind::pipelining}), 1000),
              tests({Kind::pipelining}));
}

TEST(TestResults, ForgottenWhenAllAreOverForLong)
{
    EXPECT_FALSE(results("1000;2000;1;1;1").is_forgotten(2100, 100));
    EXPECT_TRUE(results("1000;2000;1;1;1").is_forgotten(2101, 100));
}

TEST(AccessList, FirstElementThatDecides)
{
    EXPECT_EQ(decide({"permit_mynetworks"}, "192.0.2.7"), Access::permit);
    EXPECT_EQ(decide({"permit_mynetworks"}, "198.51.100.7"), Access::undecided);
    EXPECT_EQ(decide({"permit_mynetworks", "reject"}, "198.51.100.7"), Access::reject);
    EXPECT_EQ(decide({"inline:{192.0.2.7=reject}", "permit_mynetworks"}, "192.0.2.7"), Access::reject);
    EXPECT_EQ(decide({"inline:{192.0.2.7=DUNNO}", "permit_mynetworks"}, "192.0.2.7"), Access::permit);
    EXPECT_EQ(decide({"dunno", "reject"}, "192.0.2.7"), Access::undecided);
    EXPECT_EQ(decide({"static:reject"}, "2001:db8::1"), Access::reject);
}

TEST(AccessList, UnknownAnswersAndWords)
{
    EXPECT_EQ(decide({"static:{554 no}"}, "192.0.2.7"), Access::broken);
    const auto list = AccessList::open({"permit_everybody"}, "");
    ASSERT_FALSE(list);
    EXPECT_EQ(list.error().context, "unknown word \"permit_everybody\"");
}

TEST(DnsSite, WeightsAndTheirLimits)
{
    EXPECT_EQ(parse_dns_site("bl.test")->weight, 1);
    EXPECT_EQ(parse_dns_site("bl.test=127.0.0.[2..11]*3")->weight, 3);
    EXPECT_EQ(parse_dns_site("white.test*-5")->weight, -5);
    for (const std::string_view text :
         {"bl.test*", "bl.test*x", "bl.test*99999999999", "*3", "bl.test=1.2*3"})
        EXPECT_FALSE(parse_dns_site(text)) << text;
}

TEST(DnsSite, EachDomainIsAskedOnce)
{
    EXPECT_EQ(domains_of(sites({"a.test=127.0.0.2*3", "b.test", "a.test=127.0.0.3*1"})),
              (std::vector<std::string>{"a.test", "b.test"}));
}

TEST(Score, AddsWhatCounts)
{
    const auto lists = sites({"a.test=127.0.0.2*3", "a.test=127.0.0.3*1", "b.test*2", "white.test*-4"});
    Score score(lists);
    EXPECT_EQ(score.ttl(), std::nullopt);
    score.add("a.test", addresses({"127.0.0.3"}), 600);
    EXPECT_EQ(score.total(), 1);
    score.add("b.test", addresses({"127.0.0.9"}), 300);
    EXPECT_EQ(score.total(), 3);
    EXPECT_EQ(score.worst(), "b.test");
    score.add("white.test", addresses({"127.0.0.1"}), 900);
    EXPECT_EQ(score.total(), -1);
    EXPECT_EQ(score.worst(), "b.test");
    EXPECT_EQ(score.ttl(), 300);
    score.add("a.test", {}, 100);
    EXPECT_EQ(score.total(), -1);
}

TEST(Candidate, EscapesWhatAPeerHasSent)
{
    EXPECT_EQ(escaped("EHLO x\r\n"), "EHLO x\\r\\n");
    EXPECT_EQ(escaped(std::string_view("\0\x80\\", 3)), "\\000\\200\\\\");
    EXPECT_EQ(escaped(std::string(200, 'a')).size(), 100u);
}

TEST(ScreenCache, KeepsAndForgets)
{
    const auto folder = std::filesystem::path(testing::TempDir()) / "screen_cache_test";
    std::filesystem::remove_all(folder);
    std::filesystem::create_directories(folder);
    const auto cache = ScreenCache::open("btree:" + (folder / "cache").string());
    ASSERT_TRUE(cache) << cache.error().context;
    ASSERT_TRUE((*cache)->store("192.0.2.1", results("5000;5000;1;1;1")));
    ASSERT_TRUE((*cache)->store("192.0.2.2", results("100;100;1;1;1")));
    EXPECT_EQ((*cache)->find("192.0.2.1")->value(), results("5000;5000;1;1;1"));
    const auto done = (*cache)->clean(2000, 60, 500);
    ASSERT_TRUE(done);
    EXPECT_EQ((*done)->retained, 1u);
    EXPECT_EQ((*done)->dropped, 1u);
    EXPECT_EQ(*(*cache)->find("192.0.2.2"), std::nullopt);
    EXPECT_FALSE(*(*cache)->clean(2030, 60, 500)) << "too early";
    std::filesystem::remove_all(folder);
}

TEST(ScreenService, HurriesWhileTooManyAreTested)
{
    PostscreenParams params;
    params.pre_queue_limit.set(10);
    ScreenService service(params);
    service.usual.greet_wait = Seconds(6);
    service.hurried.greet_wait = Seconds(2);
    struct Step {
        int testing;
        std::int64_t wait;
    };
    for (const Step& step : {Step{8, 6}, Step{9, 2}, Step{8, 2}, Step{7, 6}, Step{8, 6}, Step{10, 2}}) {
        service.testing = step.testing;
        service.notice_stress();
        EXPECT_EQ(service.pace().greet_wait.count(), step.wait) << step.testing;
    }
}

TEST(Candidate, FaultThatDoesNotCountIsRemembered)
{
    Candidate candidate;
    candidate.due = tests({Kind::pregreet, Kind::dnsbl});
    candidate.pass(Kind::dnsbl, 5000);
    candidate.fail(Kind::pregreet);
    EXPECT_FALSE(candidate.failed);
    EXPECT_FALSE(candidate.is_clean());
    EXPECT_EQ(candidate.due, Tests());
    EXPECT_EQ(candidate.passed, tests({Kind::dnsbl}));
    EXPECT_EQ(entry_text(candidate.results), "0;5000;0;0;0");
}
