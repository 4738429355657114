<?php

declare(strict_types=1);

// An application of Symfony's components with symfony/mercure, whose hub is the extension's. Debian has neither ux-turbo nor
// API Platform: what their parts of it would answer is written here.

use App\Books;
use App\Tokens;
use Sse\Mercure\Hub;
use Symfony\Component\EventDispatcher\EventDispatcher;
use Symfony\Component\HttpFoundation\Request;
use Symfony\Component\HttpFoundation\RequestStack;
use Symfony\Component\HttpFoundation\Response;
use Symfony\Component\HttpKernel\Controller\ControllerResolver;
use Symfony\Component\HttpKernel\EventListener\RouterListener;
use Symfony\Component\HttpKernel\HttpKernel;
use Symfony\Component\Mercure\Authorization;
use Symfony\Component\Mercure\Discovery;
use Symfony\Component\Mercure\EventSubscriber\SetCookieSubscriber;
use Symfony\Component\Mercure\HubRegistry;
use Symfony\Component\Mercure\Twig\MercureExtension;
use Symfony\Component\Mercure\Update;
use Symfony\Component\Routing\Matcher\UrlMatcher;
use Symfony\Component\Routing\RequestContext;
use Symfony\Component\Routing\Route;
use Symfony\Component\Routing\RouteCollection;
use Symfony\Component\WebLink\EventListener\AddLinkHeaderListener;

require 'Psr/Container/autoload.php';
require 'Symfony/Contracts/Service/autoload.php';
require 'Symfony/Component/HttpKernel/autoload.php';
require 'Symfony/Component/Routing/autoload.php';
require 'Symfony/Component/Mercure/autoload.php';
require 'Twig/autoload.php';
require dirname(__DIR__) . '/autoload.php';
require __DIR__ . '/Books.php';
require __DIR__ . '/Tokens.php';

$request = Request::createFromGlobals();
$requests = new RequestStack();
$hub = new Hub("{$request->getSchemeAndHttpHost()}/.well-known/mercure", new Tokens((string) getenv('MERCURE_JWT_SECRET')));
$registry = new HubRegistry($hub);
$mercure = new MercureExtension($registry, new Authorization($registry), $requests);
$books = new Books(dirname(__DIR__, 3) . '/log/books.db');

$page = static fn (string $name, string $source = ''): Response => new Response(
    str_replace('{source}', $source, (string) file_get_contents(__DIR__ . "/$name.html")),
);
// An element with these attributes, as ux-turbo renders it: `private` has no value.
$element = static function (string $name, array $attributes): string {
    $text = '';
    foreach ($attributes as $attribute => $value) {
        $text .= $value === true ? " $attribute" : " $attribute=\"" . htmlspecialchars($value, ENT_QUOTES | ENT_SUBSTITUTE) . '"';
    }

    return "<$name$text></$name>";
};

$controllers = [
    // The page's template has ux-turbo's function of this name, which sets no cookie: the application does.
    'GET /turbo_stream_listen' => static function (Request $request) use ($mercure, $hub, $page, $element): Response {
        $topic = $request->query->get('topic');
        if ($request->query->has('private')) {
            $mercure->mercure(null, ['subscribe' => [$topic]]);
        }
        $name = 'symfony--ux-turbo--mercure-turbo-stream';
        $values = ["data-$name-hub-value" => $hub->getPublicUrl(), "data-$name-topic-value" => $topic];

        return $page('turbo', $element('div', ['data-controller' => $name] + $values));
    },
    // The one that has come after it, in 3.1.
    'GET /turbo_stream_from' => static function (Request $request) use ($mercure, $page, $element): Response {
        $topics = [$request->query->get('topic')];
        $private = $request->query->has('private');
        $url = $mercure->mercure($topics, $private ? ['withCredentials' => true, 'subscribe' => $topics] : []);

        return $page('turbo', $element('turbo-mercure-stream-source', ['src' => $url] + ($private ? ['private' => true] : [])));
    },
    'GET /books' => static fn (): Response => $page('books'),
    'GET /books/{id}' => static function (Request $request, int $id) use ($books, $registry): Response {
        (new Discovery($registry))->addLink($request);

        return new Response($books->json($id), 200, ['Content-Type' => 'application/ld+json']);
    },
    'PUT /books/{id}' => static function (Request $request, int $id) use ($books, $hub): Response {
        $books->rename($id, $request->toArray()['title']);
        $hub->publish(new Update(Books::iri($id), $books->json($id)));

        return new Response($books->json($id), 200, ['Content-Type' => 'application/ld+json']);
    },
    'POST /publish' => static function (Request $request) use ($hub): Response {
        $fields = $request->request;

        return new Response($hub->publish(new Update($fields->get('topic'), $fields->get('data'), $fields->has('private'))));
    },
];
$routes = new RouteCollection();
foreach ($controllers as $route => $controller) {
    [$method, $path] = explode(' ', $route);
    $routes->add($route, new Route($path, ['_controller' => $controller], ['id' => '\d+'], methods: [$method]));
}
$dispatcher = new EventDispatcher();
$dispatcher->addSubscriber(new RouterListener(new UrlMatcher($routes, new RequestContext()), $requests));
$dispatcher->addSubscriber(new SetCookieSubscriber());
$dispatcher->addSubscriber(new AddLinkHeaderListener());

$kernel = new HttpKernel($dispatcher, new ControllerResolver(), $requests);
$response = $kernel->handle($request);
$response->send();
$kernel->terminate($request, $response);
