// Command awsgen writes the api_gen.go of each service slice from the service
// models: inputs, outputs and their checks, enum values, error constructors and the
// operation table. It also writes internal/catalog/catalog_gen.go, what policies can
// say about each service.
//
// It reads, from the models folder,
//
//	<service>.json      shapes, operations and errors, in the form of the AWS SDKs' service descriptions
//	operations.json     which services and operations are built, and facts no model holds
//	overrides.json      where AWS's behaviour differs from its model, each with the reason
//	authorization.json  actions, resource types and condition keys (Service Authorization Reference)
//
// Types are made for what is built and for nothing else; of all other operations
// only the name is kept. The one invariant: equal models give equal bytes, and a
// model that says something the generator does not understand is an error, never
// silently dropped.
package main

//go:generate go run . -models ../../../models -out ../..
