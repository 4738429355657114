<?php

declare(strict_types=1);

// A stream of the topics asked for. An application would look here whether the visitor may watch them.
sse_stream($_GET['topic'] ?? 'bench');
