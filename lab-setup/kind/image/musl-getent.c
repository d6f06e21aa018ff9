/* Look a name up as musl's resolver does: musl-getent NAME prints each address. */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>

int main(int argc, char **argv) {
    struct addrinfo *found, hints = {.ai_socktype = SOCK_STREAM};
    char address[INET6_ADDRSTRLEN];
    if (argc != 2) return fprintf(stderr, "usage: musl-getent NAME\n"), 1;
    int error = getaddrinfo(argv[1], NULL, &hints, &found);
    if (error) return fprintf(stderr, "%s: %s\n", argv[1], gai_strerror(error)), 2;
    for (; found; found = found->ai_next) {
        void *bytes = found->ai_family == AF_INET ? (void *)&((struct sockaddr_in *)found->ai_addr)->sin_addr
                                                  : (void *)&((struct sockaddr_in6 *)found->ai_addr)->sin6_addr;
        printf("%s %s\n", inet_ntop(found->ai_family, bytes, address, sizeof address), argv[1]);
    }
    return 0;
}
