#include "params.h"

#include "config/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace
{

TEST(SmtpParams, AgreeWithTheTableOfKnownNames)
{
    EXPECT_THAT(bulkhead::SmtpParams().disagreements(), testing::IsEmpty());
}

TEST(LmtpParams, AreThoseOfSmtpByTheirOwnNames)
{
    const bulkhead::SmtpParams params(bulkhead::Protocol::lmtp);
    EXPECT_THAT(params.disagreements(), testing::IsEmpty());
    EXPECT_EQ(params.helo_name.name(), "lmtp_lhlo_name");
    EXPECT_EQ(params.discard_ehlo_keywords.name(), "lmtp_discard_lhlo_keywords");
    EXPECT_EQ(params.tcp_port.default_value(), "24");
    EXPECT_EQ(params.tls.key.default_value(), "$lmtp_tls_cert_file");
    EXPECT_EQ(params.always_ehlo.name(), "smtp_always_send_ehlo"); // LMTP has none
}

TEST(SmtpParams, TheOlderNameOfThePerRequestDeadlineCounts)
{
    using namespace bulkhead;
    for (const Protocol protocol : {Protocol::smtp, Protocol::lmtp}) {
        const std::string older =
            protocol == Protocol::smtp ? "smtp_per_record_deadline" : "lmtp_per_record_deadline";
        const auto config = Config::from(*MainCf::parse(older + " = yes\n", "main.cf"), "/x");
        ASSERT_TRUE(config);
        SmtpParams params(protocol);
        ASSERT_TRUE(params.load(*config));
        EXPECT_TRUE(params.per_request_deadline());
    }
}

} // namespace
