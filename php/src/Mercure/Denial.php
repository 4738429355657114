<?php

declare(strict_types=1);

namespace Sse\Mercure;

/** Why a client may not do what it asks for. */
enum Denial
{
    /** It has no token, and needs one. */
    case NoToken;
    /** Its token is not valid. */
    case InvalidToken;
    /** Its token came in a way in which none may come. */
    case InvalidRequest;
    /** Its token does not allow this. */
    case InsufficientScope;
}
