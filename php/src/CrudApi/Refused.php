<?php

declare(strict_types=1);

namespace Sse\CrudApi;

use RuntimeException;

/** The API doesn't let the client read any more what it has a stream of. */
final class Refused extends RuntimeException
{
}
