// smtpd: receives mail by SMTP and hands it to cleanup.
#include "smtpd.h"

int main(int argc, char** argv)
{
    bulkhead::Smtpd smtpd;
    return bulkhead::run_worker(smtpd, argc, argv);
}
