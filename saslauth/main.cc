// saslauth: checks the logins of SMTP clients for smtpd.
#include "saslauth.h"

int main(int argc, char** argv)
{
    bulkhead::SaslAuth saslauth;
    return bulkhead::run_worker(saslauth, argc, argv);
}
