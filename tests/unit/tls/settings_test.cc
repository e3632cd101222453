#include "tls/settings.h"

#include <gtest/gtest.h>

namespace bulkhead::tls
{
namespace
{

TEST(TlsProtocols, TakesBoundsExclusionsAndNames)
{
    const auto bounds = parse_protocols(">=TLSv1.2, <=TLSv1.3");
    ASSERT_TRUE(bounds);
    EXPECT_FALSE(bounds->allows(0x0302));
    EXPECT_TRUE(bounds->allows(version_1_2));
    EXPECT_TRUE(bounds->allows(version_1_3));

    const auto without = parse_protocols("!SSLv2 !SSLv3:!TLSv1.1");
    ASSERT_TRUE(without);
    EXPECT_FALSE(without->allows(0x0300));
    EXPECT_TRUE(without->allows(version_1_0));
    EXPECT_FALSE(without->allows(0x0302));

    const auto only = parse_protocols("TLSv1.2");
    ASSERT_TRUE(only);
    EXPECT_TRUE(only->allows(version_1_2));
    EXPECT_FALSE(only->allows(version_1_3));
    EXPECT_FALSE(only->allows(version_1_0));

    const auto number = parse_protocols(">=0x0303");
    ASSERT_TRUE(number);
    EXPECT_FALSE(number->allows(0x0302));

    ASSERT_TRUE(parse_protocols(""));
    EXPECT_TRUE(parse_protocols("")->allows(version_1_0));
}

TEST(TlsProtocols, RefusesUnknownNamesAndNothing)
{
    EXPECT_FALSE(parse_protocols("TLSv9"));
    EXPECT_FALSE(parse_protocols(">="));
    EXPECT_FALSE(parse_protocols("0x"));
    EXPECT_FALSE(parse_protocols("!SSLv3 !TLSv1 !TLSv1.1 !TLSv1.2 !TLSv1.3"));
    EXPECT_FALSE(parse_protocols(">=TLSv1.3 <=TLSv1.2"));
}

TEST(TlsCiphers, GradesAreListsWithoutTheExcluded)
{
    const CipherLists lists{"HIGHS", "MEDIUMS", "NULLS"};
    EXPECT_EQ(cipher_list(lists, "high", {}).value_or(""), "HIGHS");
    EXPECT_EQ(cipher_list(lists, "Medium", {"aNULL", "3DES"}).value_or(""), "MEDIUMS:!aNULL:!3DES");
    EXPECT_EQ(cipher_list(lists, "export", {}).value_or(""), "MEDIUMS");
    EXPECT_FALSE(cipher_list(lists, "best", {}));
    EXPECT_FALSE(cipher_list(lists, "high", {"a:b"}));
}

TEST(TlsPolicy, ReadsLevelAndAttributes)
{
    const auto policy =
        parse_policy("secure match=example.com:.example.com ciphers=high protocols=>=TLSv1.2");
    ASSERT_TRUE(policy);
    EXPECT_EQ(policy->level, Level::secure);
    EXPECT_EQ(policy->matches, (std::vector<std::string>{"example.com", ".example.com"}));
    EXPECT_EQ(policy->ciphers, "high");
    const auto print = parse_policy("fingerprint match=AA:BB|CC:DD match=EE:FF");
    ASSERT_TRUE(print);
    EXPECT_EQ(print->matches, (std::vector<std::string>{"AA:BB", "CC:DD", "EE:FF"}));
    EXPECT_FALSE(parse_policy(""));
    EXPECT_FALSE(parse_policy("sometimes"));
    EXPECT_FALSE(parse_policy("may colour=red"));
    EXPECT_FALSE(parse_policy("may match"));
    EXPECT_FALSE(parse_policy("may connection_reuse=perhaps"));
    EXPECT_EQ(parse_policy("may connection_reuse=no")->keeps_connections, false);
    EXPECT_FALSE(parse_policy("may")->keeps_connections);
    EXPECT_FALSE(parse_policy("may protocols=TLSv7"));
}

struct NameCase {
    const char* wanted;
    const char* certificate;
    bool fits;
};

TEST(TlsNames, MatchAsCertificatesMean)
{
    constexpr NameCase cases[] = {
        {"mx.example.com", "MX.example.COM", true},
        {"mx.example.com", "*.example.com", true},
        {"a.mx.example.com", "*.example.com", false},
        {"example.com", "*.example.com", false},
        {".example.com", "mx.example.com", true},
        {".example.com", "example.com", false},
        {".example.com", "mx.notexample.com", false},
        {"example.com", "*.com", false},
        {".example.com", "*.example.com", true},
        {"", "mx.example.com", false},
        {"mx.example.com", "", false},
        {"mx.example.com", "*", false},
    };
    for (const NameCase& one : cases)
        EXPECT_EQ(name_matches(one.wanted, one.certificate), one.fits)
            << one.wanted << " " << one.certificate;
}

TEST(TlsNames, FingerprintsAreComparedByDigits)
{
    EXPECT_TRUE(same_fingerprint("AB:CD", "abcd"));
    EXPECT_FALSE(same_fingerprint("AB:CD", "AB:CE"));
    EXPECT_FALSE(same_fingerprint("", ""));
}

} // namespace
} // namespace bulkhead::tls
